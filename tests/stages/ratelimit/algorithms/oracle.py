"""The library `limits` as judge: its in-memory strategies, on a clock that is moved by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import limits
import limits.storage
import limits.strategies


class Oracle:
    """One limit of the library."""

    def __init__(self, strategy: str, quota: int, window: int) -> None:
        self.now = 0.0
        self._storage = limits.storage.MemoryStorage()
        self._limiter = limits.strategies.STRATEGIES[strategy](self._storage)
        self._item = limits.RateLimitItemPerSecond(quota, window)

    def hit(self, now: float) -> bool:
        self.now = now
        return self._limiter.hit(self._item, "bucket")

    def close(self) -> None:
        self._storage.timer.cancel()


@contextmanager
def oracle(strategy: str, quota: int, window: int) -> Iterator[Oracle]:
    """The library reads the wall clock by itself: it is given another."""
    judge = Oracle(strategy, quota, window)
    with patch("limits.storage.memory.time.time", lambda: judge.now):
        try:
            yield judge
        finally:
            judge.close()
