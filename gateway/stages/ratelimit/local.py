"""Buckets in this process. Nothing waits, and each of N workers admits its share: the rate divided by N, rounded up."""

from collections.abc import Callable, Sequence

from gateway.kernel.store import MemoryStore
from gateway.stages.ratelimit.algorithm import Algorithm, State, fair_share, price, share, spent
from gateway.stages.ratelimit.algorithms import Concurrency
from gateway.stages.ratelimit.askers import Askers, Asking
from gateway.stages.ratelimit.buckets import Bucket, Charge, Reading, Table, fair_places
from gateway.stages.ratelimit.limit import Limit
from gateway.stages.ratelimit.slots import HeldBuckets, Slots


class LocalBuckets:
    """Keeps buckets in `store`."""

    secret = b""  # names do not leave the process
    one_slot = False

    def __init__(
        self, store: MemoryStore[State], processes: int | Callable[[], int], slots: Slots | None = None
    ) -> None:
        """`processes`: how many share each limit, for good or asked at every request; `slots`: for concurrency."""
        self._store = store
        self._fixed = processes if isinstance(processes, int) else None
        self._processes = (lambda: processes) if isinstance(processes, int) else processes
        self._askers = Askers()
        self.slots = slots or Slots()

    def check(self, charges: Sequence[Charge]) -> "LocalCheck":
        """Prepare for these charges."""
        tables = [self._table(charge.limit) for charge in charges]
        fair = [(index, place, self._asking(charges[index].limit)) for index, place in fair_places(charges)]
        return LocalCheck(charges, tables, self._processes, fair)

    def bucket(self, charge: Charge) -> Bucket | None:
        """Where a charge that is alone is judged: here, where its share never changes."""
        algorithm = charge.limit.algorithm
        if self._fixed is None or isinstance(algorithm, Concurrency) or charge.asking is not None or not charge.cost:
            return None
        algorithm = share(algorithm, self._fixed)
        return self._table(charge.limit), algorithm, price(algorithm, charge.cost)

    def _table(self, limit: Limit) -> Table:
        if isinstance(limit.algorithm, Concurrency):
            return HeldBuckets(self.slots)
        return self._store.table(limit.identity, limit.life)

    def _asking(self, limit: Limit) -> Asking:
        return self._askers.of(limit.identity, limit.algorithm.window, limit.algorithm.quota)


class LocalCheck:
    """Judges a fixed set of charges by the tables of this process."""

    __slots__ = ("_algorithms", "_charges", "_divided", "_fair", "_prices", "_processes", "_tables")

    def __init__(
        self,
        charges: Sequence[Charge],
        tables: Sequence[Table],
        processes: Callable[[], int],
        fair: Sequence[tuple[int, int, Asking]],
    ) -> None:
        """`fair`: of each fair charge its place, that of its set among the names, and the sets."""
        self._charges = charges
        self._fair = fair
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
            self._algorithms = tuple(share(c.limit.algorithm, processes) for c in self._charges)
            self._prices = prices(self._charges, self._algorithms)
        tables, costs = self._tables, self._prices
        if len(names) == 1:  # nearly always
            algorithm, cost = self._algorithms[0], costs[0]
            state, room = algorithm.look(tables[0].get(names[0], now), now)
            if not cost or room < cost:
                return (unspent(algorithm, state, now, room, cost),)
            after = spent(state, cost)
            tables[0].put(names[0], after, now)
            return ((room, room - cost, 0.0, algorithm.reset(after, now)),)
        algorithms, needs, alone = self._among(names, now) if self._fair else (self._algorithms, costs, ())
        looks, admitted = [], True
        for index, table in enumerate(tables):
            state, room = algorithms[index].look(table.get(names[index], now), now)
            if index in alone:
                room = algorithms[index].burst
            if room < (needs[index] or 1) and self._charges[index].enforced:
                admitted = False
            looks.append((state, room))
        readings = []
        for index, (state, room) in enumerate(looks):
            cost = costs[index]
            if admitted and 0 < needs[index] <= room:
                after = spent(state, cost)
                tables[index].put(names[index], after, now)
                readings.append((room, max(0, room - cost), 0.0, algorithms[index].reset(after, now)))
            else:
                readings.append(unspent(algorithms[index], state, now, room, needs[index]))
        return readings

    def _among(self, names: Sequence[bytes], now: float) -> tuple[Sequence[Algorithm], Sequence[int], Sequence[int]]:
        """The algorithms of this request, what it needs under them, and which of them nobody else asks for."""
        algorithms, needs, alone = list(self._algorithms), list(self._prices), []
        for index, place, asking in self._fair:
            among = asking.count(names[place], names[index], now)
            algorithm = algorithms[index] = fair_share(algorithms[index], among)
            needs[index] = price(algorithm, needs[index])
            if among == 1:
                alone.append(index)
        return algorithms, needs, alone

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
