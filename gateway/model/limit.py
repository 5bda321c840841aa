"""What a caller has left under its limits, for the RateLimit fields (draft-ietf-httpapi-ratelimit-headers)."""

from dataclasses import dataclass, field
from typing import TypeAlias

WrittenPolicy: TypeAlias = tuple[tuple[bytes, bytes], bytes, str]
"""What `answer` writes of a policy: its field, what stands in lines before a state, and the begin of a state."""


@dataclass(slots=True)
class LimitPolicy:
    """What callers are told of a limit itself; the same object for all requests under it."""

    name: str
    quota: int  # requests in a window
    window: int  # seconds; 0: a limit of concurrency, and `quota` requests at once
    written: WrittenPolicy | None = field(default=None, init=False, repr=False, compare=False)  # once, by `answer`


LimitStatus: TypeAlias = tuple[LimitPolicy, int, int]
"""A limit after this request: its policy, how many requests remain (never negative), and whole seconds until the quota
is whole again, rounded up. A bare tuple: one is made per request, and an object would cost six times that."""
