"""Algorithms and times to try, and a bucket that is driven by hand."""

from hypothesis import strategies as st

from gateway.stages.ratelimit import FixedWindow, SlidingWindow, TokenBucket
from gateway.stages.ratelimit.algorithm import Algorithm, State, spent

algorithms: st.SearchStrategy[Algorithm] = st.one_of(
    st.builds(FixedWindow, st.integers(1, 20), st.integers(1, 100)),
    st.builds(SlidingWindow, st.integers(1, 20), st.integers(1, 100)),
    st.builds(TokenBucket, st.integers(1, 20), st.integers(1, 100), st.integers(1, 20)),
)
pauses = st.lists(st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 250)), min_size=1, max_size=60)


class Bucket:
    """One bucket under one algorithm."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.state: State | None = None

    def hit(self, now: float, cost: int = 1) -> bool:
        """One request of `cost` at `now`: whether it was admitted."""
        state, room = self.algorithm.look(self.state, now)
        if room >= cost:
            self.state = spent(state, cost)
        return room >= cost

    def burst(self, now: float, tries: int) -> int:
        """How many of so many requests at once are admitted."""
        return sum(self.hit(now) for _ in range(tries))

    def remaining(self, now: float) -> int:
        return self.algorithm.look(self.state, now)[1]

    def wait(self, now: float, cost: int = 1) -> float:
        return self.algorithm.wait(self.algorithm.look(self.state, now)[0], now, cost)

    def reset(self, now: float) -> float:
        return self.algorithm.reset(self.algorithm.look(self.state, now)[0], now)
