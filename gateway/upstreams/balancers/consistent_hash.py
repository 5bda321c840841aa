"""The same endpoint for the same key, in every worker and every gateway (a ring, as Ketama and Envoy have it).

Rule: an endpoint's points on the ring come from its name and weight; one that may not serve only leaves it.
Invariant: an endpoint that goes moves its own keys and no others; when it returns they return to it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from random import getrandbits

from gateway.upstreams.balancer import Candidate

_POINTS = 160  # of an endpoint with weight 1: shares differ by some 8 % of what they should be
_MOST = 16384  # points on a ring: what bounds the time to build one
_SIZE = 8  # bytes of a point


class ConsistentHash:
    """A request's key falls on the ring, the next point's endpoint takes it."""

    def __init__(self, candidates: Sequence[Candidate], usable: Sequence[int]) -> None:
        ring = _ring(tuple((candidate.name, candidate.weight) for candidate in candidates))
        if len(usable) < len(candidates):
            serving = frozenset(usable)
            ring = tuple(point for point in ring if point[1] in serving)
        self._points = [point for point, _ in ring]
        self._owners = [owner for _, owner in ring]

    def __call__(self, key: int | None = None) -> int:
        """Without a key the request belongs to nobody: any place on the ring."""
        place = bisect_right(self._points, getrandbits(8 * _SIZE) if key is None else key)
        return self._owners[place if place < len(self._owners) else 0]


@lru_cache(maxsize=64)
def _ring(members: tuple[tuple[str, int], ...]) -> tuple[tuple[int, int], ...]:
    """Points with the index of their owner, in order."""
    scale = min(_POINTS, _MOST / sum(weight for _, weight in members))
    return tuple(
        sorted(
            (point, index)
            for index, (name, weight) in enumerate(members)
            for point in _points(name, max(1, round(weight * scale)))
        )
    )


def _points(name: str, count: int) -> list[int]:
    seed = blake2b(name.encode())
    found: list[int] = []
    while len(found) < count:
        block = seed.copy()
        block.update(b"\0%d" % len(found))
        digest = block.digest()
        found += (int.from_bytes(digest[at : at + _SIZE]) for at in range(0, len(digest), _SIZE))
    return found[:count]
