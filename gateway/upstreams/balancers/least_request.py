"""The less busy of two endpoints drawn by weight ("power of two choices").

Rule: load counts requests at work and waiting, divided by weight.
Invariant: an endpoint without load is never passed over for a busier one of the same draw.
"""

from collections.abc import Sequence
from itertools import accumulate
from random import choices

from gateway.upstreams.balancer import Candidate


class LeastRequest:
    """Two are drawn, the less loaded takes the request."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._indexes = range(len(candidates))
        self._bounds = list(accumulate(candidate.weight for candidate in candidates))

    def __call__(self) -> int:
        first, second = choices(self._indexes, cum_weights=self._bounds, k=2)  # noqa: S311 - no secret hangs on it
        a, b = self._candidates[first], self._candidates[second]
        return second if (b.load + 1) * a.weight < (a.load + 1) * b.weight else first
