"""A route with several upstreams: each takes its part of the requests.

Rule: by weight and at random; where all upstreams hash by the same key, by that key, so that a caller stays with one.
Invariant: an upstream of weight 0 gets nothing.
"""

from bisect import bisect_right
from collections.abc import Awaitable, Sequence
from itertools import accumulate
from random import random

from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.request import RawHeaders
from gateway.stages.forward.stage import Way
from gateway.upstreams.hash_key import HashKey

_MIX = 0x9E3779B97F4A7C15  # odd: spreads keys anew, or each upstream's ring would see one stretch of them only
_KEYS = 1 << 64


class Split:
    """Chooses one of several ways for each request."""

    def __init__(self, parts: Sequence[tuple[Way, int]], key: HashKey | None = None) -> None:
        """Ways with their weights, one of which is not 0."""
        self._ways = tuple(way for way, weight in parts if weight)
        self._bounds = list(accumulate(weight for _, weight in parts if weight))
        self._key = key

    def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Awaitable[Outcome]:
        key = None if self._key is None else self._key(permit)
        part = random() if key is None else (key * _MIX % _KEYS) / _KEYS  # noqa: S311 - no secret hangs on it
        chosen = bisect_right(self._bounds, part * self._bounds[-1])
        return self._ways[min(chosen, len(self._ways) - 1)](permit, exchange, answer_headers)
