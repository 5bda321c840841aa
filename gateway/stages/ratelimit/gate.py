"""A gate: the limits that one request meets at one place, judged together."""

from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from typing import Protocol, TypeAlias

from gateway.kernel.store import Buckets, Entry, StoreUnavailable
from gateway.model.limit import LimitStatus
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.trace import Trace
from gateway.stages.ratelimit.algorithm import State, price
from gateway.stages.ratelimit.algorithms import Concurrency, SlidingWindow
from gateway.stages.ratelimit.algorithms.sliding_window import ROUNDING
from gateway.stages.ratelimit.buckets import Bucket, BucketKeeper, Charge, Reading, keys_of
from gateway.stages.ratelimit.overrides import Choose
from gateway.stages.ratelimit.shared import SharedBuckets

_LONGEST = 128  # characters of a subject that is remembered; issuers stand in the file

Spent: TypeAlias = list[LimitStatus] | Awaitable[list[LimitStatus]]
"""What a gate found: at once where the buckets are in this process, else when the store has said so."""


class Entrance(Protocol):
    """What the stage asks of a gate."""

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What everybody meets here; () where nobody meets anything."""
        ...

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Spent:
        """Charge all, or none and raise Refused(RATE_LIMITED | STORE_UNAVAILABLE)."""
        ...


class Gate:
    """A fixed set of charges; without any it admits everything."""

    __slots__ = ("_check", "_keys", "charges")

    def __init__(self, keeper: BucketKeeper, charges: Sequence[Charge]) -> None:
        self.charges = tuple(charges)
        self._keys = keys_of(charges)
        self._check = keeper.check(self.charges) if self.charges else None

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Spent:
        """Charge all, or none and raise Refused(RATE_LIMITED | STORE_UNAVAILABLE).

        What a limit in shadow would refuse goes into `trace`, and refuses nothing.
        """
        check = self._check
        if check is None:
            return []
        names = [key.name(ctx, principal) for key in self._keys]
        readings = check.judge(names, ctx.time)
        if readings is None:
            return self._asked(check.ask(names, ctx.time), principal, trace)
        return self._settle(readings, principal, trace)

    async def _asked(
        self, asking: Awaitable[Sequence[Reading | None]], principal: Principal | None, trace: Trace
    ) -> list[LimitStatus]:
        return self._settle(await asking, principal, trace)

    def _settle(
        self, readings: Sequence[Reading | None], principal: Principal | None, trace: Trace
    ) -> list[LimitStatus]:
        if len(readings) == 1 and (only := readings[0]) is not None and only[0]:  # nearly always
            return _admitted(self.charges[0], only, principal)
        statuses: list[LimitStatus] = []
        refusing, longest = None, 0.0
        for charge, reading in zip(self.charges, readings, strict=False):
            if reading is None:
                continue
            limit, (room, _, wait, _) = charge.limit, reading
            if room:
                statuses += _admitted(charge, reading, principal)
                continue
            limit.decisions.refused.inc()
            if limit.shadow is not None:
                if limit.shadow not in trace.limit_shadows:  # the budget of failed credentials is asked twice
                    trace.limit_shadows += (limit.shadow,)
                continue
            if refusing is None or wait > longest:
                refusing, longest = limit, wait
            statuses += _told(charge, reading, principal)
        if refusing is not None:
            raise Refused(
                Reason.RATE_LIMITED,
                f"limit {refusing.name}",
                retry_after=max(1, ceil(longest)),
                limits=tuple(statuses),
            )
        return statuses


class LoneGate(Gate):
    """A gate with one limit whose buckets are in this process, as most are: what it admits takes one step."""

    __slots__ = ("_admitted", "_cost", "_keyed", "_policy", "_table", "_take")

    def __init__(self, keeper: BucketKeeper, charge: Charge, bucket: Bucket) -> None:
        super().__init__(keeper, [charge])
        self._table, algorithm, self._cost = bucket
        self._take = algorithm.take
        self._keyed, self._policy = charge.keyed, charge.limit.policy
        self._admitted = charge.limit.decisions.admitted

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Spent:
        """As `Gate.enter`, which judges whatever is not admitted."""
        now, keyed = ctx.time, self._keyed
        name = keyed.name(ctx, principal)
        taken = self._take(self._table.get(name, now), now, self._cost)
        if taken is None:
            return super().enter(ctx, principal, trace)
        state, remaining, reset = taken
        self._keep(principal, self._table.put(name, state, now))
        self._admitted.value += 1.0
        return [(self._policy, remaining, ceil(reset))] if keyed.owned or keyed.own(principal) else []

    def _keep(self, principal: Principal | None, entry: Entry[State] | None) -> None:
        """Remember whose bucket it is; only where that saves something."""


class WindowGate(LoneGate):
    """The same with a sliding window for each user, as nearly all are: who came lately is judged without a call."""

    __slots__ = ("_buckets", "_entries", "_most", "_price", "_span", "_window", "_window_of")

    def __init__(self, keeper: BucketKeeper, charge: Charge, buckets: Buckets[State], algorithm: SlidingWindow) -> None:
        """`algorithm`: this process's share of the limit."""
        cost = price(algorithm, charge.cost)
        super().__init__(keeper, charge, (buckets, algorithm, cost))
        self._window = algorithm.window
        self._window_of = algorithm.current
        # Floats, as what they are reckoned with: a sum of a float and an int costs three of two floats.
        self._span, self._price = float(algorithm.window), float(cost)
        self._most = float(algorithm.quota - cost)  # that may weigh when one more comes
        self._buckets = buckets
        self._entries = buckets.finder()  # of users who came lately

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Spent:
        """As `LoneGate.enter`, which judges who was not here lately and what is not admitted.

        Within a window its arithmetic is that of `SlidingWindow.take`.
        """
        user = principal.user if principal is not None else None
        entry = self._entries.get(user.key) if user is not None else None
        if entry is None:
            return super().enter(ctx, principal, trace)
        now, span = ctx.time, self._span
        since, count, before = entry.state
        elapsed = now - since
        if now >= entry.fresh or not 0.0 <= elapsed < span:
            if not entry.fresh:
                return super().enter(ctx, principal, trace)
            since, count, before = self._window_of(entry.state, now)
            self._buckets.renew(entry, now)  # its life counts from a window's beginning
            elapsed = now - since if now > since else 0.0
        left = self._most - count
        if before:
            weight = ceil(before * (span - elapsed) / span - ROUNDING) - 1
            if weight > 0:
                left -= weight
        if left < 0.0:
            return super().enter(ctx, principal, trace)
        count += self._price
        entry.state = since, count, before
        self._admitted.value += 1.0
        over = span - elapsed - span / count
        # `left` is whole; of what makes it an int, `ceil` takes half as long as `int`
        return [(self._policy, ceil(left), self._window if over >= 0.0 else ceil(span + over))]

    def _keep(self, principal: Principal | None, entry: Entry[State] | None) -> None:
        user = principal.user if principal is not None else None
        if user is not None and entry is not None and len(user.subject) <= _LONGEST:
            self._buckets.remember(self._entries, user.key, entry)


def _admitted(charge: Charge, reading: Reading, principal: Principal | None) -> list[LimitStatus]:
    if not charge.cost:
        return []
    charge.limit.decisions.admitted.inc()
    return _told(charge, reading, principal)


def _told(charge: Charge, reading: Reading, principal: Principal | None) -> list[LimitStatus]:
    """What the caller may know of it."""
    if not charge.keyed.own(principal):
        return []
    _, remaining, _, reset = reading
    return [(charge.limit.policy, remaining, max(0, ceil(reset)))]


class StoreGate(Gate):
    """A gate with one limit that the store judges: asked, waited for and told in one coroutine."""

    __slots__ = ("_admitted", "_keyed", "_policy", "_shared")

    def __init__(self, keeper: SharedBuckets, charge: Charge) -> None:
        super().__init__(keeper, [charge])
        self._shared = keeper.check(self.charges)
        self._keyed, self._policy = charge.keyed, charge.limit.policy
        self._admitted = charge.limit.decisions.admitted

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Spent:
        """As `Gate.enter`, which judges while the store is down."""
        if not self._shared.store.up:
            return super().enter(ctx, principal, trace)
        return self._ask((self._keyed.name(ctx, principal),), ctx.time, principal, trace)

    async def _ask(
        self, names: Sequence[bytes], now: float, principal: Principal | None, trace: Trace
    ) -> list[LimitStatus]:
        shared, keyed = self._shared, self._keyed
        try:
            reply = await shared.send(names, now)
        except StoreUnavailable:
            reply = None
        taken = shared.taken(reply)
        if taken is None:
            return self._settle(shared.read(reply, names, now), principal, trace)
        self._admitted.value += 1.0
        return [(self._policy, taken[0], ceil(taken[1]))] if keyed.owned or keyed.own(principal) else []


class HoldingGate(Gate):
    """A gate with limits of concurrency: what enters takes a place, which `trace` gives back."""

    __slots__ = ("_places", "_slots")

    def __init__(self, keeper: BucketKeeper, charges: Sequence[Charge]) -> None:
        super().__init__(keeper, charges)
        self._slots = keeper.slots
        self._places = [
            index for index, c in enumerate(charges) if isinstance(c.limit.algorithm, Concurrency) and c.cost
        ]

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Awaitable[list[LimitStatus]]:
        """As `Gate.enter`."""
        return self._take(ctx, principal, trace)

    async def _take(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> list[LimitStatus]:
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

    def enter(self, ctx: RequestContext, principal: Principal | None, trace: Trace) -> Spent:
        """As `Gate.enter`."""
        return self._gate(tuple([choose(ctx, principal) for choose in self._choose])).enter(ctx, principal, trace)

    def _gate(self, which: tuple[int, ...]) -> Gate:
        gate = self._gates.get(which)
        if gate is None:
            gate = self._gates[which] = self._make(which)
        return gate


def make_gate(keeper: BucketKeeper, charges: Sequence[Charge]) -> Gate:
    """The gate of these charges."""
    if any(isinstance(charge.limit.algorithm, Concurrency) for charge in charges):
        return HoldingGate(keeper, charges)
    bucket = keeper.bucket(charges[0]) if len(charges) == 1 else None
    if bucket is None:
        if isinstance(keeper, SharedBuckets) and len(charges) == 1 and keeper.asks(charges[0]):
            return StoreGate(keeper, charges[0])
        return Gate(keeper, charges)
    table, algorithm, _ = bucket
    keyed = charges[0].keyed
    if keyed.by_user and keyed.owned and isinstance(table, Buckets) and isinstance(algorithm, SlidingWindow):
        return WindowGate(keeper, charges[0], table, algorithm)
    return LoneGate(keeper, charges[0], bucket)
