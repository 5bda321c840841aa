"""Facts that the token itself carries, in a claim: as fresh as the token."""

from collections.abc import Mapping

from gateway.model.principal import Principal
from gateway.stages.posture.source import Known, known


class ClaimSource:
    """A claim that holds an object."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, device: str, principal: Principal, now: float) -> Known | None:
        """None without such a claim. A token that does not say when it was issued (`iat`) is as of now."""
        if principal.user is None:
            return None
        claims = principal.user.claims
        facts, issued = claims.get(self._name), claims.get("iat")
        if not isinstance(facts, Mapping):
            return None
        if isinstance(issued, bool) or not isinstance(issued, int | float):
            issued = now
        return known(facts, float(issued))
