"""Concurrency: so many requests at once, each from its gate until its answer has ended.

Nothing of it passes with time: a request that is over gives its place back, and one whose process died loses it when
its lease ends. State: (0, requests that are in, 0).
"""

from dataclasses import dataclass
from typing import ClassVar

from gateway.stages.ratelimit.algorithm import State, Taken, take

LEASE = 30  # seconds for which a place in the store is held without being renewed


@dataclass(frozen=True, slots=True)
class Concurrency:
    """`quota` requests at once."""

    quota: int

    name: ClassVar[str] = "concurrency"
    lua: ClassVar[str] = """
  return since, count, 0, quota - count
"""

    @property
    def window(self) -> int:
        return 0  # none

    @property
    def burst(self) -> int:
        return self.quota

    @property
    def life(self) -> float:
        return float(LEASE)

    def look(self, state: State | None, now: float) -> tuple[State, int]:
        found = state or (0.0, 0.0, 0.0)
        return found, max(0, self.quota - int(found[1]))

    def wait(self, state: State, now: float, cost: int = 1) -> float:
        return 1.0  # nobody knows when one of them ends

    def reset(self, state: State, now: float) -> float:
        return 0.0

    def take(self, state: State | None, now: float, cost: int) -> Taken | None:
        return take(self, state, now, cost)

    def resized(self, quota: int, burst: int) -> "Concurrency":
        return Concurrency(quota)
