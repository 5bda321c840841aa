"""Limits of which this process holds slices: most requests are judged here, one now and then asks Redis for more.

Rule: a gate is judged here only while it holds enough of all its limits; else the store judges as for any other limit,
and lends a slice with its answer. Without the store a slice is spent to its end; then each limit does as it says.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception, in its own case

from gateway.kernel.store import CallWithMore, RedisStore, Reply, StoreUnavailable
from gateway.stages.ratelimit.algorithm import spent
from gateway.stages.ratelimit.buckets import Charge, Reading
from gateway.stages.ratelimit.leases import Leases, Slice
from gateway.stages.ratelimit.local import LocalBuckets
from gateway.stages.ratelimit.script import about, arguments, lending, returning
from gateway.stages.ratelimit.shared import Debts, SharedBuckets, SharedCheck

_LENDING = lending()
_RETURNING = returning()


class LeasingBuckets(SharedBuckets):
    """Keeps buckets in `store`, and slices of those that are leased in `leases`."""

    def __init__(self, store: RedisStore, fallback: LocalBuckets, secret: bytes, leases: Leases) -> None:
        super().__init__(store, fallback, secret)
        self._leases = leases

    def check(self, charges: Sequence[Charge]) -> SharedCheck:
        """Prepare for these charges: beside a limit that has to be asked for anyway no slice saves anything."""
        if all(charge.limit.lease and charge.cost for charge in charges):
            return LeasedCheck(charges, self._store, self._fallback, self._debts, self._leases)
        return super().check(charges)


class LeasedCheck(SharedCheck):
    """Judges charges that are all leased, none of them only looked at."""

    __slots__ = ("_backs", "_leases", "_more", "_sizes", "_slices")

    def __init__(
        self, charges: Sequence[Charge], store: RedisStore, fallback: LocalBuckets, debts: Debts, leases: Leases
    ) -> None:
        super().__init__(charges, store, fallback, debts)
        self._leases = leases
        self._sizes = [charge.limit.lease for charge in charges]
        self._more = Struct(f"<{len(charges)}d")
        length = charges[0].keyed.length
        self._call = CallWithMore(
            _LENDING,
            prefix=store.prefix,
            keys=len(charges),
            length=length,
            arguments=arguments(charges),
            more=len(charges),
        )
        self._backs = [
            CallWithMore(_RETURNING, prefix=store.prefix, keys=1, length=length, arguments=about(c), more=2)
            for c in charges
        ]

    def judge(self, names: Sequence[bytes], now: float) -> Sequence[Reading | None] | None:
        """From the slices, where they hold enough; else as without them."""
        slices, costs, held = self._leases.slices, self._costs, []
        for name, cost in zip(names, costs, strict=True):
            one = slices.get(name)
            if one is None or one.left < cost:
                return super().judge(names, now)
            held.append(one)
        readings = []
        for one, cost in zip(held, costs, strict=True):
            one.left -= cost
            remaining = one.beyond + one.left
            readings.append((remaining + cost, remaining, 0.0, max(0.0, one.whole - now)))
        return readings

    async def ask(self, names: Sequence[bytes], now: float) -> Sequence[Reading | None]:
        """As `SharedCheck.ask`, and take a slice of each."""
        asked = [self._leases.ask_for(name, size) for name, size in zip(names, self._sizes, strict=True)]
        # What is lent is kept though the request that asked is gone by then: it waits for a future of its own.
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        try:
            if now < self._debts.until:
                self._settle(names, now)
            call = self.store.run(self._call, (*names, *(b"%d" % more for more in asked)))
        except StoreUnavailable:
            self._took(names, asked, None)
            return self._without_store(names, now)
        call.add_done_callback(partial(self._answered, names, asked, now, answer))
        reply = await answer
        return self._without_store(names, now) if reply is None else self._readings(reply)

    def _answered(
        self,
        names: Sequence[bytes],
        asked: Sequence[int],
        now: float,
        answer: "asyncio.Future[bytes | None]",
        call: "asyncio.Future[Reply]",
    ) -> None:
        judged, lent = None, None
        if not call.cancelled() and call.exception() is None:
            reply, size = call.result(), self._answer.size
            if isinstance(reply, bytes):
                try:
                    lent = self._lent(reply[:size], reply[size:], now)
                    judged = reply[:size]
                except StructError:
                    lent = None
        self._took(names, asked, lent)
        if not answer.done():
            answer.set_result(judged)

    def _lent(self, judged: bytes, more: bytes, now: float) -> Sequence[Slice | None]:
        """The slices that came with an answer. Raises struct.error."""
        at, found = self._answer.read(judged)
        slices: list[Slice | None] = []
        for index, size in enumerate(map(int, self._more.unpack(more)) if more else ()):
            room, state, _ = found[index]
            algorithm, cost = self._charges[index].limit.algorithm, self._costs[index]
            whole = now + algorithm.reset(spent(state, cost + size), at)
            slices.append(Slice(size, room - cost - size, whole, state[0], self._backs[index]) if size > 0 else None)
        return slices

    def _took(self, names: Sequence[bytes], asked: Sequence[int], lent: Sequence[Slice | None] | None) -> None:
        for index, name in enumerate(names):
            if asked[index]:
                self._leases.taken(name, lent[index] if lent else None)
