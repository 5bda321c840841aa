"""Buckets in this process. Nothing waits, and each of N workers admits its share: the rate divided by N, rounded up."""

from collections.abc import Callable, Sequence

from gateway.kernel.store import MemoryStore
from gateway.stages.ratelimit.algorithm import Algorithm, State, spent
from gateway.stages.ratelimit.buckets import Charge, Reading


class LocalBuckets:
    """Keeps buckets in `store`; `processes` tells how many share each limit, at every request anew."""

    secret = b""  # names do not leave the process

    def __init__(self, store: MemoryStore[State], processes: Callable[[], int]) -> None:
        self._store = store
        self._processes = processes

    def check(self, charges: Sequence[Charge]) -> "LocalCheck":
        """Prepare for these charges."""
        return LocalCheck(charges, self._store, self._processes)


class LocalCheck:
    """Judges a fixed set of charges by the tables of this process."""

    __slots__ = ("_algorithms", "_charges", "_divided", "_processes", "_tables")

    def __init__(self, charges: Sequence[Charge], store: MemoryStore[State], processes: Callable[[], int]) -> None:
        self._charges = charges
        self._processes = processes
        self._tables = tuple(store.table(c.limit.identity, c.limit.algorithm.life) for c in charges)
        self._divided = 1
        self._algorithms: tuple[Algorithm, ...] = tuple(c.limit.algorithm for c in charges)

    async def ask(self, names: Sequence[bytes], now: float) -> Sequence[Reading]:
        """As `judge`."""
        return self.judge(names, now)

    def judge(self, names: Sequence[bytes], now: float) -> Sequence[Reading]:
        """All or nothing. `now`: seconds since the epoch."""
        processes = self._processes()
        if processes != self._divided:
            self._divided = processes
            self._algorithms = tuple(c.limit.algorithm.share(processes) for c in self._charges)
        tables, algorithms = self._tables, self._algorithms
        if len(names) == 1:  # nearly always
            state, room = algorithms[0].look(tables[0].get(names[0], now), now)
            if not room or not self._charges[0].cost:
                return (unspent(algorithms[0], state, now, room),)
            after = spent(state)
            tables[0].put(names[0], after, now)
            return ((room, room - 1, 0.0, algorithms[0].reset(after, now)),)
        looks, admitted = [], True
        for index, name in enumerate(names):
            look = algorithms[index].look(tables[index].get(name, now), now)
            if not look[1]:
                admitted = False
            looks.append(look)
        readings = []
        for index, (state, room) in enumerate(looks):
            if admitted and self._charges[index].cost:
                after = spent(state)
                tables[index].put(names[index], after, now)
                readings.append((room, room - 1, 0.0, algorithms[index].reset(after, now)))
            else:
                readings.append(unspent(algorithms[index], state, now, room))
        return readings


def unspent(algorithm: Algorithm, state: State, now: float, room: int) -> Reading:
    """The reading of a limit of which nothing was spent."""
    return room, room, 0.0 if room else algorithm.wait(state, now), algorithm.reset(state, now)
