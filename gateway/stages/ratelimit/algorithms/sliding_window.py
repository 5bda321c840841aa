"""Sliding window, as two counters: this window's requests, and those of the one before as far as they still weigh.

Those before are taken as spread evenly from their window's start on, so a client at exactly the rate is never refused.
Burst: the quota. It approximates: a burst late in a window and a steady stream after it can come to almost twice the
quota in a time as long as the window, never at once.
State: (window's start, requests in it, requests in the one before).
"""

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from gateway.stages.ratelimit.algorithm import State, Taken

ROUNDING = 1e-9  # of a count; what is left of a weight after floating point is not a request


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """`quota` requests in `window` seconds; the first window begins with a bucket's first request."""

    quota: int
    window: int

    name: ClassVar[str] = "sliding_window"
    lua: ClassVar[str] = """
  local elapsed = now - since
  if elapsed >= 2 * window or elapsed < -window then
    since, count, before, elapsed = now, 0, 0, 0
  elseif elapsed >= window then
    since, count, before, elapsed = since + window, 0, count, elapsed - window
  end
  local weight = 0
  if before > 0 then
    weight = math.max(0, math.ceil(math.min(before, before * (window - elapsed) / window) - 1e-9) - 1)
  end
  return since, count, before, quota - weight - count
"""

    @property
    def burst(self) -> int:
        return self.quota

    @property
    def life(self) -> float:
        return 2.0 * self.window

    def look(self, state: State | None, now: float) -> tuple[State, int]:
        since, count, before = state = self.current(state, now)
        if before > 0:
            left = min(before, before * (self.window - (now - since)) / self.window)
            count += max(0, ceil(left - ROUNDING) - 1)
        return state, max(0, self.quota - int(count))

    def current(self, state: State | None, now: float) -> State:
        """Of the window that `now` lies in."""
        if state is None:
            return now, 0.0, 0.0
        window, elapsed = self.window, now - state[0]
        if elapsed < window:  # a start that lies ahead by more than a window is a clock that was set back
            return state if elapsed >= -window else (now, 0.0, 0.0)
        return (now, 0.0, 0.0) if elapsed >= 2 * window else (state[0] + window, 0.0, state[1])

    def wait(self, state: State, now: float, cost: int = 1) -> float:
        since, count, before = state
        if not count and not before:
            return float(self.window)
        most = self.quota + 1 - min(cost, self.quota)  # so many of a window may weigh on the next
        if count < most:  # those before fill the rest: until enough of them are out
            return since + self.window * (1 - (most - count) / before) - now
        return since + self.window * (2 - most / count) - now  # until the next window, in which these weigh

    def reset(self, state: State, now: float) -> float:
        since, count, before = state
        if count:
            return self.window + min(0.0, self._over(now - since, count))
        return max(0.0, since + self.window * (1 - 1 / before) - now) if before else 0.0

    def take(self, state: State | None, now: float, cost: int) -> Taken | None:
        window = self.window
        if state is None or not 0.0 <= (elapsed := now - state[0]) < window:
            state = self.current(state, now)
            elapsed = max(0.0, now - state[0])
        since, count, before = state
        left = self.quota - cost - int(count)
        if before:
            weight = ceil(before * (window - elapsed) / window - ROUNDING) - 1
            if weight > 0:
                left -= weight
        if left < 0:
            return None
        count += cost
        over = self._over(elapsed, count)
        return (since, count, before), left, window + over if over < 0.0 else float(window)

    def _over(self, elapsed: float, count: float) -> float:
        """Seconds by which it takes longer than a window until less than one of these `count` weighs on the next."""
        return self.window - elapsed - self.window / count

    def resized(self, quota: int, burst: int) -> "SlidingWindow":
        return SlidingWindow(quota, self.window)
