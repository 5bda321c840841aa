"""Each endpoint in turn, as often as its weight says.

Rule: the turns of a heavy endpoint are spread out evenly, computed once.
Invariant: over one cycle each endpoint is chosen exactly `weight` times (divided by what all weights share).
"""

from collections.abc import Sequence
from itertools import cycle
from math import gcd

from gateway.upstreams.balancer import Candidate


class RoundRobin:
    """The endpoints in a fixed, fair order."""

    def __init__(self, candidates: Sequence[Candidate], usable: Sequence[int]) -> None:
        shared = gcd(*(candidates[index].weight for index in usable))
        self._next = cycle(_spread({index: candidates[index].weight // shared for index in usable})).__next__

    def __call__(self, key: int | None = None) -> int:
        return self._next()


def _spread(weights: dict[int, int]) -> list[int]:
    """One cycle of turns: those of each endpoint stand at even distances."""
    turns = [((turn + 0.5) / weight, index) for index, weight in weights.items() for turn in range(weight)]
    return [index for _, index in sorted(turns)]
