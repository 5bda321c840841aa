"""Rate limits: what an address may do before it is known who asks, and what a caller may do after.

A gate judges all its limits together: one that refuses spends none of them.
Algorithms are pure; buckets live in this process or in Redis; what a failing store means, each limit says.
"""

from gateway.stages.ratelimit.algorithms import Concurrency, FixedWindow, SlidingWindow, TokenBucket
from gateway.stages.ratelimit.keys import Keyed
from gateway.stages.ratelimit.leased import LeasingBuckets
from gateway.stages.ratelimit.leases import Leases
from gateway.stages.ratelimit.limit import Limit, OnStoreFailure
from gateway.stages.ratelimit.local import LocalBuckets
from gateway.stages.ratelimit.overrides import Callers
from gateway.stages.ratelimit.shared import SharedBuckets
from gateway.stages.ratelimit.slots import Slots
from gateway.stages.ratelimit.stage import Gates, RateLimit

__all__ = [
    "Callers",
    "Concurrency",
    "FixedWindow",
    "Gates",
    "Keyed",
    "Leases",
    "LeasingBuckets",
    "Limit",
    "LocalBuckets",
    "OnStoreFailure",
    "RateLimit",
    "SharedBuckets",
    "SlidingWindow",
    "Slots",
    "TokenBucket",
]
