"""Buckets in this process: bounded, expiring, ordered by last use.

A table holds buckets of one life time, so the one that was touched longest ago is the first to expire: expiry and
eviction both take from the same end, and nothing ever sweeps. Names are digests, so an entry's size is known.
"""

from collections import OrderedDict
from typing import Generic, TypeVar
from weakref import WeakSet, WeakValueDictionary

State = TypeVar("State")
CAPACITY = 65_536
_IN_LINE = 10.0  # seconds for which a bucket may be used without being put at the end of its table's line again
_FOUND = 16_384  # entries of a table that its finders hold together


class Entry(Generic[State]):
    """One bucket of a table. Who keeps it may read and write its state by itself for as long as it is fresh.

    Whoever does that renews it in its table when it is not, and whenever a state means something for a life from then.
    """

    __slots__ = ("fresh", "name", "state", "until")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.state: State
        self.until: float  # seconds, as all times here: when its life is over
        self.fresh: float  # until then it is in its table, and near enough to its place in line; 0.0: it was dropped


class Finder(dict[tuple[str, str], Entry[State]]):
    """Entries of a table by what is at hand where a name is not; written by `Buckets.remember` alone."""

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__  # type: ignore[assignment]  # which of them it is, for the table's set


class Buckets(Generic[State]):
    """One table. When it is full of live buckets, the one that was touched longest ago goes.

    Who can fill it to be rid of one spent bucket holds as many budgets already as it has places.
    """

    __slots__ = ("__weakref__", "_entries", "_finders", "_found", "capacity", "life")

    def __init__(self, life: float, capacity: int = CAPACITY) -> None:
        """`life`: seconds for which an untouched bucket still means something."""
        self.life = life
        self.capacity = capacity
        self._entries: OrderedDict[bytes, Entry[State]] = OrderedDict()
        self._finders: WeakSet[Finder[State]] = WeakSet()
        self._found = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: bytes, now: float) -> State | None:
        """The bucket's state, None when there is none or its life is over."""
        entry = self._entries.get(name)
        if entry is None or entry.until <= now:
            return None
        return entry.state

    def drop(self, name: bytes) -> None:
        """Forget the bucket."""
        entry = self._entries.pop(name, None)
        if entry is not None:
            entry.fresh = 0.0

    def put(self, name: bytes, state: State, now: float) -> Entry[State]:
        """Keep the bucket for another life. A new one drops up to two that are over: a table shrinks as it is used."""
        entries = self._entries
        entry = entries.get(name)
        if entry is None:
            entry = entries[name] = Entry(name)
            entry.until = now + self.life
            for _ in range(2):
                oldest = next(iter(entries.values()))
                if oldest.until > now and len(entries) <= self.capacity:
                    break
                entries.popitem(last=False)[1].fresh = 0.0
        entry.state = state
        self.renew(entry, now)
        return entry

    def renew(self, entry: Entry[State], now: float) -> None:
        """Begin another life of a bucket that was not dropped. A clock that was set back shortens none."""
        life = self.life
        self._entries.move_to_end(entry.name)
        if now + life > entry.until:
            entry.until = now + life
        entry.fresh = now + (life / 2 if life < 2 * _IN_LINE else _IN_LINE)

    def finder(self) -> Finder[State]:
        """A new one."""
        finder: Finder[State] = Finder()
        self._finders.add(finder)
        return finder

    def remember(self, finder: Finder[State], key: tuple[str, str], entry: Entry[State]) -> None:
        """Have the entry found by `key`; when so many are that it is enough for all finders, all begin anew."""
        if self._found >= _FOUND:
            for each in self._finders:
                each.clear()
            self._found = 0
        self._found += 1
        finder[key] = entry


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
