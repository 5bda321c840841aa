"""The times of records: the clock is read once in a tick of the loop, and small steps back of it are not written."""

from collections.abc import Callable

from gateway.stages.record.waiting import Waiting


class Times:
    """Of one stream. `shared`: the time that the records of this tick have in common; 0 until its first one."""

    __slots__ = ("_clock", "_latest", "shared")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.shared = 0.0
        self._clock = clock
        self._latest = 0.0  # of all times given out

    def first(self, *, shared: bool) -> float:
        """The time of a tick's first record; with `shared` those behind it have it too."""
        now = self.now()
        if shared:
            self.shared = now
        return now

    def now(self) -> float:
        """The time of a record: a clock that is set back by less than a second does not turn the log around."""
        if self.shared:
            return self.shared
        now = self._clock()
        if now < self._latest < now + 1.0:
            return self._latest
        self._latest = now
        return now


class Turn:
    """What the records of one turn of the loop share while the log works: who finds it need not ask the log."""

    __slots__ = ("add", "at")

    def __init__(self, at: float, add: Callable[[Waiting], None]) -> None:
        """`at`: seconds since the epoch."""
        self.at = at
        self.add = add
