"""Judging without a trace: limits that nobody spends, proofs that nobody uses up, counters that nobody reads.

Rule: what is asked here is what serves; only what a request would leave behind is taken away.
"""

from dataclasses import replace

from gateway.model.limit import LimitStatus
from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.model.trace import Trace
from gateway.snapshot import Snapshot
from gateway.stages.authenticate import Authenticate


class NeverCounted:
    """Limits that let everything through: nobody sent this request."""

    async def by_address(self, ctx: RequestContext, route: Route, trace: Trace) -> list[LimitStatus]:
        return []

    async def failed_credential(self, ctx: RequestContext, route: Route, trace: Trace) -> None:
        return None

    async def by_caller(
        self, ctx: RequestContext, route: Route, principal: Principal, trace: Trace
    ) -> list[LimitStatus]:
        return []


_NEVER_COUNTED = NeverCounted()


def judged_before(snapshot: Snapshot, proved: float) -> Snapshot:
    """The same for a request that was let in at `proved` (seconds since the epoch): its proofs hold as of then."""
    authenticate = snapshot.authenticate
    if isinstance(authenticate, Authenticate):
        authenticate = authenticate.again(proved)
    return replace(snapshot, ratelimit=_NEVER_COUNTED, authenticate=authenticate)
