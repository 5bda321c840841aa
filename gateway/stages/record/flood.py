"""Bounds how many records of one kind a second may bring, and counts the rest.

A flood of refusals can neither fill the disk nor drown one kind of record in another: each kind has its own budget, and
what was held back is told by number in a `suppressed` record.
"""

from dataclasses import dataclass

PER_SECOND = 200  # records of one kind


@dataclass(slots=True)
class _Window:
    second: int
    count: int
    held: int


@dataclass(frozen=True, slots=True)
class Held:
    """Records that were not written."""

    kind: str
    reason: str
    count: int
    since: float  # seconds since the epoch, whole


class Flood:
    """One for each stream."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], _Window] = {}  # bounded: kinds and reasons are closed sets

    def admits(self, kind: str, reason: str, now: float) -> bool:
        """Whether another record may be written; when not, it is counted."""
        second = int(now)
        window = self._windows.get((kind, reason))
        if window is None:
            window = self._windows[kind, reason] = _Window(second, 0, 0)
        elif window.second != second and not window.held:
            window.second, window.count = second, 0
        if window.count < PER_SECOND:
            window.count += 1
            return True
        window.held += 1
        return False

    def lost(self, kind: str, reason: str, now: float, count: int = 1) -> None:
        """Count records that were admitted and could not be written."""
        window = self._windows.get((kind, reason))
        if window is None:
            window = self._windows[kind, reason] = _Window(int(now), 0, 0)
        window.held += count

    def holding(self) -> bool:
        """True while something is counted and not told."""
        return any(window.held for window in self._windows.values())

    def told(self, now: float, *, closing: bool = False) -> list[Held]:
        """What the seconds that are over held back; with `closing` also the present one."""
        second = int(now)
        over = []
        for (kind, reason), window in self._windows.items():
            if window.held and (closing or window.second != second):
                over.append(Held(kind, reason, window.held, float(window.second)))
                window.second, window.count, window.held = second, 0, 0
        return over
