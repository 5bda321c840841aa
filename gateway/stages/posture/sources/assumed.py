"""Facts that are taken as known, for `explain` and `test` (contract sections 1 and 8).

Invariant: the serving snapshot never holds one of these.
"""

from gateway.model.json import Claims
from gateway.model.principal import Principal
from gateway.stages.posture.source import Known, known


class AssumedSource:
    """Whatever device is asked for, this is known of it."""

    def __init__(self, facts: Claims | None) -> None:
        """None: nothing is known of any device."""
        self._facts = facts

    async def __call__(self, device: str, principal: Principal, now: float) -> Known | None:
        """As of now, unless the facts say otherwise."""
        return None if self._facts is None else known(self._facts, now)
