"""An endpoint at random, by weight.

Rule: one draw a request, and one look into a sorted list.
Invariant: each endpoint's chance is its weight's part of all weights.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import random

from gateway.upstreams.balancer import Candidate


class WeightedRandom:
    """One is drawn."""

    def __init__(self, candidates: Sequence[Candidate], usable: Sequence[int]) -> None:
        self._usable = tuple(usable)
        self._bounds = list(accumulate(candidates[index].weight for index in usable))
        self._total = float(self._bounds[-1])

    def __call__(self, key: int | None = None) -> int:
        return self._usable[bisect_right(self._bounds, random() * self._total)]  # noqa: S311 - no secret hangs on it
