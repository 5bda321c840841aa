"""A gate: the limits that one request meets at one place, judged together."""

from collections.abc import Generator, Sequence
from math import ceil

from gateway.model.limit import LimitStatus
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.trace import Trace
from gateway.stages.ratelimit.buckets import BucketKeeper, Charge


class _NothingSpent:
    """What `enter` promises where there is no charge, made once: a coroutine costs more than all that it would do."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, list[LimitStatus]]:
        yield from ()
        return []


NOTHING_SPENT = _NothingSpent()


class Gate:
    """A fixed set of charges; without any it admits everything."""

    __slots__ = ("_check", "charges")

    def __init__(self, keeper: BucketKeeper, charges: Sequence[Charge]) -> None:
        self.charges = tuple(charges)
        self._check = keeper.check(self.charges) if self.charges else None

    async def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> list[LimitStatus]:
        """Charge all, or none and raise Refused(RATE_LIMITED | STORE_UNAVAILABLE).

        What a limit in shadow would refuse goes into `trace`, and refuses nothing.
        """
        check = self._check
        if check is None:
            return []
        charges = self.charges
        names = [charge.keyed.name(ctx, principal) for charge in charges]
        readings = check.judge(names, ctx.time)
        if readings is None:
            readings = await check.ask(names, ctx.time)
        statuses, refusing, longest = [], None, 0.0
        for charge, reading in zip(charges, readings, strict=False):
            if reading is None:
                continue
            limit, (room, remaining, wait, reset) = charge.limit, reading
            if room:
                if not charge.cost:
                    continue
                limit.decisions.admitted.inc()
            else:
                limit.decisions.refused.inc()
                if limit.shadow is not None:
                    if limit.shadow not in trace.limit_shadows:  # the budget of failed credentials is asked twice
                        trace.limit_shadows += (limit.shadow,)
                    continue
                if refusing is None or wait > longest:
                    refusing, longest = limit, wait
            if charge.keyed.own(principal):
                quota, window = limit.algorithm.quota, limit.algorithm.window
                statuses.append(LimitStatus(limit.name, quota, window, remaining, max(0, ceil(reset))))
        if refusing is not None:
            raise Refused(
                Reason.RATE_LIMITED,
                f"limit {refusing.name}",
                retry_after=max(1, ceil(longest)),
                limits=tuple(statuses),
            )
        return statuses
