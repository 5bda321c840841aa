"""A gate: the limits that one request meets at one place, judged together."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from math import ceil
from typing import Protocol

from gateway.model.limit import LimitStatus
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.trace import Trace
from gateway.stages.ratelimit.algorithms import Concurrency
from gateway.stages.ratelimit.buckets import BucketKeeper, Charge, Reading, keys_of
from gateway.stages.ratelimit.overrides import Choose


class _NothingSpent:
    """What `enter` promises where there is no charge, made once: a coroutine costs more than all that it would do."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, list[LimitStatus]]:
        yield from ()
        return []


NOTHING_SPENT = _NothingSpent()


class Entrance(Protocol):
    """What the stage asks of a gate."""

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What everybody meets here; () where nobody meets anything."""
        ...

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Awaitable[list[LimitStatus]]:
        """Charge all, or none and raise Refused(RATE_LIMITED | STORE_UNAVAILABLE)."""
        ...


class Gate:
    """A fixed set of charges; without any it admits everything."""

    __slots__ = ("_check", "_keys", "charges")

    def __init__(self, keeper: BucketKeeper, charges: Sequence[Charge]) -> None:
        self.charges = tuple(charges)
        self._keys = keys_of(charges)
        self._check = keeper.check(self.charges) if self.charges else None

    async def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> list[LimitStatus]:
        """Charge all, or none and raise Refused(RATE_LIMITED | STORE_UNAVAILABLE).

        What a limit in shadow would refuse goes into `trace`, and refuses nothing.
        """
        check = self._check
        if check is None:
            return []
        names = [key.name(ctx, principal) for key in self._keys]
        readings = check.judge(names, ctx.time)
        if readings is None:
            readings = await check.ask(names, ctx.time)
        return self._settle(readings, principal, trace)

    def _settle(
        self, readings: Sequence[Reading | None], principal: Principal | None, trace: Trace
    ) -> list[LimitStatus]:
        statuses, refusing, longest = [], None, 0.0
        for charge, reading in zip(self.charges, readings, strict=False):
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


class HoldingGate(Gate):
    """A gate with limits of concurrency: what enters takes a place, which `trace` gives back."""

    __slots__ = ("_places", "_slots")

    def __init__(self, keeper: BucketKeeper, charges: Sequence[Charge]) -> None:
        super().__init__(keeper, charges)
        self._slots = keeper.slots
        self._places = [
            index for index, c in enumerate(charges) if isinstance(c.limit.algorithm, Concurrency) and c.cost
        ]

    async def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> list[LimitStatus]:
        """As `Gate.enter`."""
        check, slots = self._check, self._slots
        assert check is not None  # noqa: S101 - one charge at least makes a gate this one
        names = [key.name(ctx, principal) for key in self._keys]
        identity = slots.identity()
        readings = check.judge(names, ctx.time)
        if readings is None:
            try:
                readings = await check.ask([*names, identity], ctx.time)
            except BaseException:  # the client left while the call was under way, and it may have taken a place
                slots.forget([names[index] for index in self._places], identity)
                raise
        statuses = self._settle(readings, principal, trace)
        taken = []
        for index in self._places:
            reading = readings[index]
            if reading is None or reading[0]:  # not judged while the store is away: it is told when it is back
                taken.append(names[index])
        if taken:
            trace.held += (slots.take(taken, identity),)
        return statuses


class ChosenGate:
    """A gate whose limits hang on who comes: one gate for each way in which their overrides match."""

    __slots__ = ("_choose", "_gates", "_make", "charges")

    def __init__(self, choose: Sequence[Choose], make: Callable[[tuple[int, ...]], Gate]) -> None:
        """`choose`: of each limit the number of the override that matches, -1 for none; `make`: the gate of these."""
        self._choose = tuple(choose)
        self._make = make
        self._gates: dict[tuple[int, ...], Gate] = {}
        self.charges = self._gate((-1,) * len(self._choose)).charges

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Awaitable[list[LimitStatus]]:
        """As `Gate.enter`."""
        return self._gate(tuple([choose(ctx, principal) for choose in self._choose])).enter(ctx, principal, trace)

    def _gate(self, which: tuple[int, ...]) -> Gate:
        gate = self._gates.get(which)
        if gate is None:
            gate = self._gates[which] = self._make(which)
        return gate


def make_gate(keeper: BucketKeeper, charges: Sequence[Charge]) -> Gate:
    """The gate of these charges."""
    holds = any(isinstance(charge.limit.algorithm, Concurrency) for charge in charges)
    return HoldingGate(keeper, charges) if holds else Gate(keeper, charges)
