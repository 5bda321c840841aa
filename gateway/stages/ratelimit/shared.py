"""Buckets in Redis, shared by all workers and replicas: one script call a gate.

While the store cannot answer, each limit does as it says: `deny` refuses before anything is spent, `allow` is not
judged, `local` ones are judged together by this process, each for its share. What that spends of a bucket is told to
Redis when the bucket is asked for again there.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from struct import error as StructError  # noqa: N812 - an exception, in its own case

from gateway.kernel.store import Call, CallWithMore, RedisStore, Reply, StoreUnavailable, WholeCall
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.ratelimit.algorithm import fair_share, price, spent
from gateway.stages.ratelimit.algorithms import Concurrency
from gateway.stages.ratelimit.buckets import Bucket, Charge, Reading, fair_places, keys_of
from gateway.stages.ratelimit.limit import OnStoreFailure
from gateway.stages.ratelimit.local import LocalBuckets, unspent
from gateway.stages.ratelimit.script import Answer, about, arguments, compose, settling

_SCRIPT = compose()
_SETTLING = settling()
_RETRY_AFTER = 1  # seconds: a store that is back is noticed within two


class SharedBuckets:
    """Keeps buckets in `store`, and in `fallback` while that is down."""

    def __init__(self, store: RedisStore, fallback: LocalBuckets, secret: bytes) -> None:
        """`secret`: the same for all that share the store; keeps identities out of its dumps."""
        self.secret = secret
        self.one_slot = bool(store.address.cluster)
        self.slots = fallback.slots
        self._store = store
        self._fallback = fallback
        self._debts = Debts()

    def bucket(self, charge: Charge) -> Bucket | None:
        """None: the store judges."""
        return None

    def asks(self, charge: Charge) -> bool:
        """Whether the store is asked each time where this charge is alone in its gate, with what spends."""
        return bool(charge.cost) and charge.asking is None and not charge.limit.lease

    def check(self, charges: Sequence[Charge]) -> "SharedCheck":
        """Prepare for these charges."""
        return SharedCheck(charges, self._store, self._fallback, self._debts)


class Debts:
    """Until when something may be owed to the store: until then each bucket is looked up before it is asked for."""

    __slots__ = ("told", "until")

    def __init__(self) -> None:
        self.until = 0.0  # seconds since the epoch
        self.told: set[bytes] = set()  # buckets whose debt is on its way to the store


class SharedCheck:
    """Judges a fixed set of charges by one script call."""

    __slots__ = (
        "_answer",
        "_call",
        "_charges",
        "_costs",
        "_debts",
        "_denies",
        "_fair",
        "_fallback",
        "_local_names",
        "_locals",
        "_longest",
        "_settlements",
        "store",
    )

    def __init__(self, charges: Sequence[Charge], store: RedisStore, fallback: LocalBuckets, debts: Debts) -> None:
        self._charges = charges
        self.store = store
        self._debts = debts
        make = CallWithMore if any(isinstance(c.limit.algorithm, Concurrency) for c in charges) else Call
        self._call = make(
            _SCRIPT,
            prefix=store.prefix,
            keys=len(keys_of(charges)),
            length=charges[0].keyed.length,
            arguments=arguments(charges),
        )
        self._answer = Answer(len(charges))
        modes = [c.limit.on_store_failure for c in charges]
        self._costs = [price(c.limit.algorithm, c.cost) for c in charges]
        denies = (c for c in charges if c.limit.on_store_failure is OnStoreFailure.DENY and c.enforced)
        self._denies = next(denies, None)
        self._locals = [index for index, mode in enumerate(modes) if mode is OnStoreFailure.LOCAL]
        self._fallback = fallback.check([charges[index] for index in self._locals])
        sets = dict(fair_places(charges))
        self._fair = tuple(sets)
        self._local_names = [*self._locals, *(sets[index] for index in self._locals if index in sets)]
        self._longest = max((c.limit.life for c in charges), default=0.0)
        self._settlements = [
            WholeCall(_SETTLING, prefix=store.prefix, keys=1, length=c.keyed.length, arguments=about(c))
            for c in charges
        ]

    def judge(self, names: Sequence[bytes], now: float) -> Sequence[Reading | None] | None:
        """While the store is down, at once."""
        return None if self.store.up else self._without_store(names, now)

    async def ask(self, names: Sequence[bytes], now: float) -> Sequence[Reading | None]:
        """Waits for Redis, for as long as the store's timeout at most. Raises Refused(STORE_UNAVAILABLE)."""
        try:
            reply = await self.send(names, now)
        except StoreUnavailable:
            reply = None
        return self.read(reply, names, now)

    def send(self, names: Sequence[bytes], now: float) -> "asyncio.Future[Reply]":
        """Ask the store. Raises StoreUnavailable, at once or from the future."""
        if now < self._debts.until:
            self._settle(names, now)
        return self.store.run(self._call, names)

    def taken(self, reply: Reply) -> tuple[int, float] | None:
        """What the store's answer says where there is one limit, which is not fair, and it admits the request.

        How many requests remain, and seconds until the quota is whole. None: `read` has to say what it means.
        """
        if type(reply) is not bytes or len(reply) != self._answer.size:
            return None
        now, room, since, count, before, _ = self._answer.unpack(reply)
        cost = self._costs[0]
        if room < cost:
            return None
        return int(room) - cost, self._charges[0].limit.algorithm.reset((since, count + cost, before), now)

    def read(self, reply: Reply, names: Sequence[bytes], now: float) -> Sequence[Reading | None]:
        """What the store's answer means; None in its place: it gave none. Raises Refused(STORE_UNAVAILABLE)."""
        if isinstance(reply, bytes):
            with suppress(StructError):
                return self._readings(reply)
        return self._without_store(names, now)

    def _settle(self, names: Sequence[bytes], now: float) -> None:
        """Tell what was spent of these buckets here: ahead of the call that asks for them, on the same connection."""
        for place, index in enumerate(self._locals):
            name = names[index]
            owed = self._fallback.owed(place, name, now) if name not in self._debts.told else 0
            if owed > 0:
                future = self.store.run(self._settlements[index], (name, b"%d" % owed))
                self._debts.told.add(name)
                future.add_done_callback(partial(self._settled, place, name))

    def _settled(self, place: int, name: bytes, future: "asyncio.Future[Reply]") -> None:
        self._debts.told.discard(name)
        if not future.cancelled() and future.exception() is None:
            self._fallback.settled(place, name)

    def _readings(self, reply: bytes) -> Sequence[Reading]:
        if len(self._costs) == 1:  # nearly always; it is not fair, for then there are two
            now, room, state = self._answer.read_one(reply)
            algorithm, cost = self._charges[0].limit.algorithm, self._costs[0]
            if 0 < cost <= room:
                return ((room, room - cost, 0.0, algorithm.reset(spent(state, cost), now)),)
            return (unspent(algorithm, state, now, room, cost),)
        now, found = self._answer.read(reply)
        charges, costs = self._charges, self._costs
        admitted, needs = True, costs
        if self._fair:
            needs = list(costs)
            for index in self._fair:
                needs[index] = price(fair_share(charges[index].limit.algorithm, found[index][2]), costs[index])
        for index, (room, _, _) in enumerate(found):
            if room < (needs[index] or 1) and charges[index].enforced:
                admitted = False
        readings = []
        for index, (room, state, among) in enumerate(found):
            algorithm, cost, need = charges[index].limit.algorithm, costs[index], needs[index]
            if among > 1:
                algorithm = fair_share(algorithm, among)
            if admitted and 0 < need <= room:
                readings.append((room, max(0, room - cost), 0.0, algorithm.reset(spent(state, cost), now)))
            else:
                readings.append(unspent(algorithm, state, now, room, need))
        return readings

    def _without_store(self, names: Sequence[bytes], now: float) -> Sequence[Reading | None]:
        for charge in self._charges:
            charge.limit.decisions.error.inc()
        if self._denies is not None:
            raise Refused(
                Reason.STORE_UNAVAILABLE, f"limit {self._denies.limit.name}: {self.store}", retry_after=_RETRY_AFTER
            )
        readings: list[Reading | None] = [None] * len(self._charges)
        self._debts.until = max(self._debts.until, now + self._longest)
        judged = self._fallback.judge([names[index] for index in self._local_names], now)
        for index, one in zip(self._locals, judged, strict=True):
            readings[index] = one
        return readings
