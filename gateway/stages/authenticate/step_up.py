"""Step-up (RFC 9470): whether the login behind a token is strong and fresh enough for a route.

Rule: what a token does not say, or does not say as the RFCs do, is not enough; nothing is taken for a login time but
`auth_time`.
Invariant: only a token that holds in every other way is judged, so that the answer tells nobody else what would do.
"""

from gateway.model.json import Claims
from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.model.reason import Reason
from gateway.model.refused import Challenge, Refused


@noun
class StepUp:
    """`requires.acr` and `requires.max_auth_age` of one route."""

    acr: tuple[str, ...]  # one of them, as the token writes it; (): any, or none
    max_age: float | None  # seconds since the login
    where_acr: Place | None
    where_age: Place | None
    challenge: Challenge

    def check(self, claims: Claims, now: float, skew: float) -> None:
        """Raises Refused(STEP_UP_REQUIRED). `skew`: seconds that the issuer's clock may be ahead of ours."""
        if self.acr and claims.get("acr") not in self.acr:
            raise self._refusal("acr is none of those that the route requires", self.where_acr)
        max_age = self.max_age
        if max_age is None:
            return
        login = claims.get("auth_time")
        if isinstance(login, bool) or not isinstance(login, int | float):
            raise self._refusal("the token does not say when its user logged in (auth_time)", self.where_age)
        if not now - max_age <= login <= now + skew:
            early = login > now
            detail = "auth_time lies in the future" if early else "the login is older than the route allows"
            raise self._refusal(detail, self.where_age)

    def _refusal(self, detail: str, where: Place | None) -> Refused:
        return Refused(Reason.STEP_UP_REQUIRED, detail, where=where, challenge=self.challenge)


def step_up(
    acr: tuple[str, ...],
    max_age: float | None,
    where_acr: Place | None = None,
    where_age: Place | None = None,
) -> StepUp | None:
    """What a route asks; None where it asks nothing. The challenge names both: either alone would not be enough."""
    if not acr and max_age is None:
        return None
    told = None if max_age is None else int(max_age)
    return StepUp(acr, max_age, where_acr, where_age, Challenge(acr=acr, max_age=told))
