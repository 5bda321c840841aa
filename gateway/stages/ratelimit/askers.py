"""Who asks for what is shared: those principals that came to its gate lately, admitted or not.

Counted in this process here, in Redis by the script; both forget alike. Bounded: what more than MOST would divide a
bucket into is a share of nothing.
"""

from collections import OrderedDict

from gateway.kernel.store import MemoryStore

LATELY = 60  # seconds for which who asked counts, or the limit's window where that is shorter
MOST = 10_000  # who comes beyond has its share among so many


def lately(window: int) -> int:
    """Seconds; `window` 0: of a limit of concurrency."""
    return min(window, LATELY) if window else LATELY


class Askers:
    """The sets of this process; kept over reloads."""

    def __init__(self) -> None:
        self._store: MemoryStore[OrderedDict[bytes, float]] = MemoryStore()

    def of(self, identity: bytes, window: int, quota: int) -> "Asking":
        """Those of one limit, by its `identity`."""
        return Asking(self._store, identity, lately(window), min(quota, MOST))


class Asking:
    """Those of one limit."""

    __slots__ = ("_most", "_seconds", "_table")

    def __init__(self, store: MemoryStore[OrderedDict[bytes, float]], identity: bytes, seconds: int, most: int) -> None:
        self._table = store.table(identity, seconds)
        self._seconds = seconds
        self._most = most

    def count(self, shared: bytes, who: bytes, now: float) -> int:
        """How many ask for the bucket `shared` with `who`, who does so now; one at least."""
        times = self._table.get(shared, now)
        if times is None:
            times = OrderedDict()
        while times and next(iter(times.values())) <= now - self._seconds:
            times.popitem(last=False)
        if who in times or len(times) < self._most:
            times[who] = now
            times.move_to_end(who)
        self._table.put(shared, times, now)
        return max(1, len(times))
