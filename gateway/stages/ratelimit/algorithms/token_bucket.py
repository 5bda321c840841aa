"""Token bucket: up to `burst` requests at once, filled again at the rate (GCRA, ATM Forum TM 4.0, in continuous form).

Burst: `burst`; a full bucket and a window of refilling together let burst + quota through in one window.
State: (when it was last judged, tokens that were taken and not filled again, 0).
"""

from dataclasses import dataclass
from typing import ClassVar

from gateway.stages.ratelimit.algorithm import State, Taken, take

_ROUNDING = 1e-6  # of a token; what is left of one after floating point is not one


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`quota` tokens in `window` seconds flow into a bucket that holds `burst`."""

    quota: int
    window: int
    burst: int

    name: ClassVar[str] = "token_bucket"
    lua: ClassVar[str] = """
  if now - since >= window * burst / quota or now - since < -window then
    since, count = now, 0
  elseif now > since then
    since, count = now, math.max(0, count - (now - since) * quota / window)
  end
  return since, count, 0, math.floor(burst - count + 1e-6)
"""

    @property
    def life(self) -> float:
        return self.window * self.burst / self.quota

    def look(self, state: State | None, now: float) -> tuple[State, int]:
        if state is None:
            return (now, 0.0, 0.0), self.burst
        elapsed = now - state[0]
        if elapsed >= self.window * self.burst / self.quota or elapsed < -self.window:
            return (now, 0.0, 0.0), self.burst
        if elapsed > 0:  # a clock that is set back a little fills nothing twice
            state = now, max(0.0, state[1] - elapsed * self.quota / self.window), 0.0
        return state, max(0, int(self.burst - state[1] + _ROUNDING))

    def wait(self, state: State, now: float, cost: int = 1) -> float:
        return (state[1] + min(cost, self.burst) - self.burst) * self.window / self.quota

    def reset(self, state: State, now: float) -> float:
        return state[1] * self.window / self.quota

    def take(self, state: State | None, now: float, cost: int) -> Taken | None:
        return take(self, state, now, cost)

    def resized(self, quota: int, burst: int) -> "TokenBucket":
        return TokenBucket(quota, self.window, burst)
