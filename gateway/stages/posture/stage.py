"""The posture stage: no route can ask for posture in this build, so there is never any."""

from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.model.route import Route


class NoPosture:
    """Knows nothing of any device."""

    async def __call__(self, ctx: RequestContext, route: Route, principal: Principal) -> Posture | None:
        """Always None."""
        return None
