"""The posture stage: the facts about the caller's device, where the route asks for a posture.

Rule: no device, no facts, old facts or a condition that does not hold refuse (403); a source that cannot say is a 503.
Invariant: a posture in shadow decides nothing and gives the rules no fact.
"""

from collections.abc import Awaitable, Mapping

from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.model.shadow import Shadow
from gateway.stages.posture.requirement import Requirement
from gateway.stages.posture.source import Known, Unavailable
from gateway.stages.posture.sources.certificate import CertificateSource


class JudgePosture:
    """The stage."""

    def __init__(self, requirements: Mapping[int, Requirement]) -> None:
        """By route index."""
        self._requirements = dict(requirements)

    @property
    def asked(self) -> bool:
        """True when some route asks for a posture."""
        return bool(self._requirements)

    def __call__(self, ctx: RequestContext, route: Route, principal: Principal) -> Awaitable[Posture | None] | None:
        """Raises Refused(POSTURE_FAILED | POSTURE_STALE | POSTURE_UNAVAILABLE)."""
        requirement = self._requirements.get(route.index)
        return None if requirement is None else self._judge(requirement, ctx, principal)

    async def _judge(self, requirement: Requirement, ctx: RequestContext, principal: Principal) -> Posture:
        device = principal.caller if requirement.device is None else requirement.device(principal)
        found: Known | None = None
        try:
            if device is None:
                raise requirement.refusal(Reason.POSTURE_FAILED, f"{requirement.name}: the caller names no device")
            source = requirement.source
            try:
                if isinstance(source, CertificateSource):
                    found = source.of(ctx, principal)
                else:
                    found = await source(device, principal, ctx.time)
            except Unavailable as failure:
                raise requirement.refusal(Reason.POSTURE_UNAVAILABLE, f"{requirement.name}: {failure}") from None
            requirement.judge(found, ctx.time)
        except Refused as refused:
            if requirement.shadow:
                shadow = Shadow("posture", requirement.name, refused.reason.effect, requirement.where)
                return Posture(device or "", {}, ctx.time, None, (shadow,))
            if device is not None:
                refused.posture = Posture(device, {} if found is None else found.facts, ctx.time)
            raise
        assert device is not None  # noqa: S101 - refused above
        assert found is not None  # noqa: S101 - refused by `judge`
        if requirement.shadow:
            return Posture(device, {}, found.observed)
        return Posture(device, found.facts, found.observed, found.observed + requirement.max_age)
