"""Buckets in this process: bounded, expiring, ordered by last use.

A table holds buckets of one life time, so the one that was touched longest ago is the first to expire: expiry and
eviction both take from the same end, and nothing ever sweeps. Names are digests, so an entry's size is known.
"""

from collections import OrderedDict
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

State = TypeVar("State")
CAPACITY = 65_536


class Buckets(Generic[State]):
    """One table. When it is full of live buckets, the one that was touched longest ago goes.

    Who can fill it to be rid of one spent bucket holds as many budgets already as it has places.
    """

    __slots__ = ("__weakref__", "_entries", "capacity", "life")

    def __init__(self, life: float, capacity: int = CAPACITY) -> None:
        """`life`: seconds for which an untouched bucket still means something."""
        self.life = life
        self.capacity = capacity
        self._entries: OrderedDict[bytes, tuple[float, State]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: bytes, now: float) -> State | None:
        """The bucket's state, None when there is none or its life is over."""
        entry = self._entries.get(name)
        if entry is None or entry[0] <= now:
            return None
        return entry[1]

    def drop(self, name: bytes) -> None:
        """Forget the bucket."""
        self._entries.pop(name, None)

    def put(self, name: bytes, state: State, now: float) -> None:
        """Keep the bucket for another life. A new one drops up to two that are over: a table shrinks as it is used."""
        entries = self._entries
        if name in entries:
            entries[name] = now + self.life, state
            entries.move_to_end(name)
            return
        entries[name] = now + self.life, state
        for _ in range(2):
            oldest = next(iter(entries.values()))
            if oldest[0] > now and len(entries) <= self.capacity:
                break
            entries.popitem(last=False)


class MemoryStore(Generic[State]):
    """The tables of one process, by what they count.

    A table lives as long as some snapshot refers to it: a reload that keeps a limit keeps what was spent of it, and a
    limit that is gone takes its table with it.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._tables: WeakValueDictionary[bytes, Buckets[State]] = WeakValueDictionary()

    def table(self, identity: bytes, life: float) -> Buckets[State]:
        """The table of `identity`, made when it is not there; `life` is from now on its buckets' life, in seconds."""
        table = self._tables.get(identity)
        if table is None:
            table = self._tables[identity] = Buckets(life, self._capacity)
        table.life = life
        return table
