"""Buckets in this process. Nothing waits, and each of N workers admits its share: the rate divided by N, rounded up."""

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.kernel.store import MemoryStore
from gateway.stages.ratelimit.algorithm import Algorithm, State, price, spent
from gateway.stages.ratelimit.algorithms import Concurrency
from gateway.stages.ratelimit.buckets import Charge, Reading
from gateway.stages.ratelimit.limit import Limit
from gateway.stages.ratelimit.slots import HeldBuckets, Slots


class Table(Protocol):
    """Buckets of one meaning."""

    def get(self, name: bytes, now: float) -> State | None:
        """The bucket's state; None for one that was never used."""
        ...

    def put(self, name: bytes, state: State, now: float) -> None:
        """Keep the bucket."""
        ...

    def drop(self, name: bytes) -> None:
        """Forget the bucket."""
        ...


class LocalBuckets:
    """Keeps buckets in `store`; `processes` tells how many share each limit, at every request anew."""

    secret = b""  # names do not leave the process
    one_slot = False

    def __init__(self, store: MemoryStore[State], processes: Callable[[], int], slots: Slots | None = None) -> None:
        """`slots`: where limits of concurrency count."""
        self._store = store
        self._processes = processes
        self.slots = slots or Slots()

    def check(self, charges: Sequence[Charge]) -> "LocalCheck":
        """Prepare for these charges."""
        tables = [self._table(charge.limit) for charge in charges]
        return LocalCheck(charges, tables, self._processes)

    def _table(self, limit: Limit) -> Table:
        if isinstance(limit.algorithm, Concurrency):
            return HeldBuckets(self.slots)
        return self._store.table(limit.identity, limit.life)


class LocalCheck:
    """Judges a fixed set of charges by the tables of this process."""

    __slots__ = ("_algorithms", "_charges", "_divided", "_prices", "_processes", "_tables")

    def __init__(self, charges: Sequence[Charge], tables: Sequence[Table], processes: Callable[[], int]) -> None:
        self._charges = charges
        self._processes = processes
        self._tables = tuple(tables)
        self._divided = 1
        self._algorithms: tuple[Algorithm, ...] = tuple(c.limit.algorithm for c in charges)
        self._prices = prices(charges, self._algorithms)

    async def ask(self, names: Sequence[bytes], now: float) -> Sequence[Reading]:
        """As `judge`."""
        return self.judge(names, now)

    def judge(self, names: Sequence[bytes], now: float) -> Sequence[Reading]:
        """All or nothing. `now`: seconds since the epoch."""
        processes = self._processes()
        if processes != self._divided:
            self._divided = processes
            self._algorithms = tuple(c.limit.algorithm.share(processes) for c in self._charges)
            self._prices = prices(self._charges, self._algorithms)
        tables, algorithms, costs = self._tables, self._algorithms, self._prices
        if len(names) == 1:  # nearly always
            algorithm, cost = algorithms[0], costs[0]
            state, room = algorithm.look(tables[0].get(names[0], now), now)
            if not cost or room < cost:
                return (unspent(algorithm, state, now, room, cost),)
            after = spent(state, cost)
            tables[0].put(names[0], after, now)
            return ((room, room - cost, 0.0, algorithm.reset(after, now)),)
        looks, admitted = [], True
        for index, name in enumerate(names):
            look = algorithms[index].look(tables[index].get(name, now), now)
            if look[1] < (costs[index] or 1) and self._charges[index].enforced:
                admitted = False
            looks.append(look)
        readings = []
        for index, (state, room) in enumerate(looks):
            cost = costs[index]
            if admitted and 0 < cost <= room:
                after = spent(state, cost)
                tables[index].put(names[index], after, now)
                readings.append((room, room - cost, 0.0, algorithms[index].reset(after, now)))
            else:
                readings.append(unspent(algorithms[index], state, now, room, cost))
        return readings

    def owed(self, index: int, name: bytes, now: float) -> int:
        """What was spent of a bucket here and still counts; 0 for one that holds nothing, or places."""
        algorithm = self._algorithms[index]
        state = None if isinstance(algorithm, Concurrency) else self._tables[index].get(name, now)
        return 0 if state is None else algorithm.burst - algorithm.look(state, now)[1]

    def settled(self, index: int, name: bytes) -> None:
        """What was owed is told to the store: begin anew."""
        self._tables[index].drop(name)


def prices(charges: Sequence[Charge], algorithms: Sequence[Algorithm]) -> tuple[int, ...]:
    """What each charge takes under its algorithm."""
    return tuple(price(algorithm, charge.cost) for charge, algorithm in zip(charges, algorithms, strict=True))


def unspent(algorithm: Algorithm, state: State, now: float, room: int, cost: int) -> Reading:
    """The reading of a limit of which nothing was spent; `cost` 0 asks for room for one."""
    if room >= (cost or 1):
        return room, room, 0.0, algorithm.reset(state, now)
    return 0, room, algorithm.wait(state, now, cost or 1), algorithm.reset(state, now)
