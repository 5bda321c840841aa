"""How much an upstream is asked: its circuit breaker and the budget of its retries, in one worker.

Rule: counts only, no I/O and no clock; who enters leaves.
Invariant: retries are never more than their part of the requests at work, or three (Envoy's retry budget).
"""

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.settings import BreakerSettings

_LEAST_RETRIES = 3  # at once, however few requests are at work
_RETRY_AFTER = 1  # seconds: a full upstream has room again as soon as a request ends


class Load:
    """Requests and retries at work."""

    def __init__(self, breaker: BreakerSettings | None, budget: int) -> None:
        """`budget`: percent of the requests that may be retries."""
        self.requests = 0
        self.retries = 0
        self._breaker = breaker
        self._budget = budget

    def enter(self) -> None:
        """A request begins. Raises Refused(CIRCUIT_OPEN)."""
        breaker = self._breaker
        if breaker is not None and self.requests >= breaker.max_requests:
            raise Refused(Reason.CIRCUIT_OPEN, "as many requests as it may have", retry_after=_RETRY_AFTER)
        self.requests += 1

    def leave(self) -> None:
        """It ended."""
        self.requests -= 1

    def wait(self, waiting: int) -> None:
        """A request would wait for a connection beside `waiting` others. Raises Refused(CIRCUIT_OPEN)."""
        breaker = self._breaker
        if breaker is not None and waiting >= breaker.max_pending:
            raise Refused(Reason.CIRCUIT_OPEN, "as many wait for a connection as may", retry_after=_RETRY_AFTER)

    def retry(self) -> bool:
        """Take a place among the retries; False when the budget is spent. `retried` gives it back."""
        if self.retries >= max(_LEAST_RETRIES, self.requests * self._budget // 100):
            return False
        self.retries += 1
        return True

    def retried(self) -> None:
        """The retry is over."""
        self.retries -= 1
