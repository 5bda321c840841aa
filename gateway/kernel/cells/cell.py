"""The cells: one number, or one histogram, of one set of labels.

A cell belongs to the event loop's thread; reading it from another thread gives a value that was true a moment ago.
Nothing here locks, parses or allocates.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Counter:
    """A number that only grows. Who counts every request adds to `value` itself: the call costs more than the sum."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`, which is never negative."""
        self.value += amount


class Gauge:
    """A number that goes up and down, or one that is asked for when it is read.

    Who changes it with every request does so at `stored`, as with a counter's `value`.
    """

    __slots__ = ("_ask", "stored")

    def __init__(self) -> None:
        self.stored = 0.0
        self._ask: Callable[[], float] | None = None

    @property
    def value(self) -> float:
        """What it stands at now."""
        return self.stored if self._ask is None else self._ask()

    def set(self, value: float) -> None:
        """It stands at `value`."""
        self.stored = value

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`."""
        self.stored += amount

    def dec(self, amount: float = 1.0) -> None:
        """Take `amount` away."""
        self.stored -= amount

    def ask(self, function: Callable[[], float] | None) -> None:
        """Read `function` at each exposition instead of a stored value (an age, a lag); None takes it back.

        The function runs in the thread that exposes; it must be quick, must not raise and must not need the loop.
        """
        self._ask = function


class Exemplar(NamedTuple):
    """One value of a bucket, and the trace that it was measured in."""

    trace_id: str
    value: float
    at: float  # seconds since the epoch


class Histogram:
    """How often a value fell at or under each bound (Prometheus `le`), and the sum of all."""

    __slots__ = ("bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend; what is above the last falls into one more bucket."""
        self.bounds = tuple(bounds)  # those of a family share it
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}  # the latest of each bucket

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def exemplify(self, value: float, trace_id: str, at: float) -> None:
        """Name the trace of a value that was counted; `at`: seconds since the epoch."""
        self.exemplars[bisect_left(self.bounds, value)] = Exemplar(trace_id, value, at)
