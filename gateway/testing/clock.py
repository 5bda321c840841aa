"""A clock that stands still until it is told to move.

Rule: code under test takes `clock: Callable[[], float]`; a test hands it a Clock and moves the time by hand.
Invariant: time never goes backwards by itself, and never passes by itself.
"""

from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch; call it to read it."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Move on (or back, with a negative number); returns the new time."""
        self.now += seconds
        return self.now

    @property
    def datetime(self) -> datetime:
        """The time as a datetime in UTC, as certificates want it."""
        return datetime.fromtimestamp(self.now, UTC)
