"""What a caller has left under its limits."""

from gateway.model.noun import noun


@noun
class LimitStatus:
    """One limit after this request, for the RateLimit fields (draft-ietf-httpapi-ratelimit-headers)."""

    name: str
    quota: int  # requests in a window
    window: int  # seconds; 0: a limit of concurrency, and `quota` requests at once
    remaining: int  # never negative
    reset: int  # whole seconds until the quota is whole again, rounded up
