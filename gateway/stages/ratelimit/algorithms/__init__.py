"""The algorithms. One more is a file here and its name in this tuple."""

from gateway.stages.ratelimit.algorithms.concurrency import Concurrency
from gateway.stages.ratelimit.algorithms.fixed_window import FixedWindow
from gateway.stages.ratelimit.algorithms.sliding_window import SlidingWindow
from gateway.stages.ratelimit.algorithms.token_bucket import TokenBucket

ALGORITHMS = (FixedWindow, SlidingWindow, TokenBucket)

__all__ = ["ALGORITHMS", "Concurrency", "FixedWindow", "SlidingWindow", "TokenBucket"]
