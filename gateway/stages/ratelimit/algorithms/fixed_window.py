"""Fixed window: so many requests from the first one on until the window ends.

Burst: the quota, and twice the quota within a moment around a window's end. State: (window's start, requests in it, 0).
"""

from dataclasses import dataclass
from typing import ClassVar

from gateway.stages.ratelimit.algorithm import State, Taken, take


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """`quota` requests in `window` seconds."""

    quota: int
    window: int

    name: ClassVar[str] = "fixed_window"
    lua: ClassVar[str] = """
  local elapsed = now - since
  if elapsed >= window or elapsed < -window then since, count = now, 0 end
  return since, count, 0, quota - count
"""

    @property
    def burst(self) -> int:
        return self.quota

    @property
    def life(self) -> float:
        return float(self.window)

    def look(self, state: State | None, now: float) -> tuple[State, int]:
        # A start that lies ahead by more than a window is a clock that was set back: begin anew.
        if state is None or not -self.window <= now - state[0] < self.window:
            return (now, 0.0, 0.0), self.quota
        return state, max(0, self.quota - int(state[1]))

    def wait(self, state: State, now: float, cost: int = 1) -> float:
        return state[0] + self.window - now

    def reset(self, state: State, now: float) -> float:
        return min(state[0] + self.window - now, float(self.window)) if state[1] else 0.0

    def take(self, state: State | None, now: float, cost: int) -> Taken | None:
        return take(self, state, now, cost)

    def resized(self, quota: int, burst: int) -> "FixedWindow":
        return FixedWindow(quota, self.window)
