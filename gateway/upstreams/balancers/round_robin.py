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

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        shared = gcd(*(candidate.weight for candidate in candidates))
        self._next = cycle(_spread([candidate.weight // shared for candidate in candidates])).__next__

    def __call__(self) -> int:
        return self._next()


def _spread(weights: list[int]) -> list[int]:
    """One cycle of turns: those of each endpoint stand at even distances."""
    turns = [((turn + 0.5) / weight, index) for index, weight in enumerate(weights) for turn in range(weight)]
    return [index for _, index in sorted(turns)]
