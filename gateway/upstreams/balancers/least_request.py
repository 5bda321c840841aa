"""The less busy of two endpoints drawn by weight ("power of two choices").

Rule: load counts requests at work and waiting, divided by weight.
Invariant: an endpoint without load is never passed over for a busier one of the same draw.
"""

from collections.abc import Sequence

from gateway.upstreams.balancer import Candidate
from gateway.upstreams.balancers.weighted_random import WeightedRandom


class LeastRequest:
    """Two are drawn, the less loaded takes the request."""

    def __init__(self, candidates: Sequence[Candidate], usable: Sequence[int]) -> None:
        self._candidates = candidates
        self._draw = WeightedRandom(candidates, usable)

    def __call__(self, key: int | None = None) -> int:
        draw = self._draw
        first, second = draw(), draw()
        if first == second:
            return first
        a, b = self._candidates[first], self._candidates[second]
        return second if (b.load + 1) * a.weight < (a.load + 1) * b.weight else first
