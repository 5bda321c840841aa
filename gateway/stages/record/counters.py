"""The metrics of requests and decisions, their cells bound to the routes of one snapshot.

A status or reason seen for the first time makes its cell, and both are of closed sets; a method that nobody knows is
`other`, no route is `none`.
"""

from bisect import bisect_left

from gateway.kernel.cells import NO_ROUTE, OTHER_METHOD, Counter, Metrics
from gateway.model.methods import KNOWN_METHODS
from gateway.model.outcome import Outcome
from gateway.model.shadow import Shadow


class RouteCounters:
    """Of one route."""

    __slots__ = ("_decisions", "_duration", "_metrics", "_name", "_requests")

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._name = name
        self._duration = metrics.request_duration.labels(name)
        self._requests: dict[tuple[str, int], Counter] = {}
        self._decisions: dict[str, Counter] = {}  # by reason, "" for an allowed request

    def decided(self, effect: str, reason: str, shadows: tuple[Shadow, ...]) -> None:
        """Count one decision."""
        try:
            self._decisions[reason].value += 1.0
        except KeyError:
            cell = self._decisions[reason] = self._metrics.decisions.labels(self._name, effect, reason)
            cell.inc()
        for shadow in shadows:
            self._metrics.shadow_decisions.labels(self._name, shadow.kind, shadow.effect.value).inc()

    def ended(self, method: str, outcome: Outcome, duration: float) -> None:
        """Count one request at its end; `duration` in seconds."""
        status, reason, histogram = outcome.status, outcome.reason, self._duration
        try:
            self._requests[method, status].value += 1.0
        except KeyError:
            self._first(method, status).inc()
        histogram.counts[bisect_left(histogram.bounds, duration)] += 1  # its `observe`, without the call
        histogram.sum += duration
        if reason is not None and (reason.status == 0 or reason.status != status):
            self._metrics.streams_terminated.labels(reason.code).inc()

    def traced(self, duration: float, trace_id: str, at: float) -> None:
        """Name the trace of a request that has `ended`; `at`: seconds since the epoch."""
        self._duration.exemplify(duration, trace_id, at)

    def _first(self, method: str, status: int) -> Counter:
        if method not in KNOWN_METHODS:
            method = OTHER_METHOD
        known = status if 100 <= status <= 599 else 0
        cell = self._metrics.requests.labels(self._name, method, str(known))
        if method != OTHER_METHOD and known == status:  # a table by what clients send would be theirs to fill
            self._requests[method, status] = cell
        return cell


def route_counters(metrics: Metrics, names: tuple[str, ...]) -> tuple[RouteCounters, ...]:
    """One for each route, at its index; the last, at index -1, for requests without a route."""
    return tuple(RouteCounters(metrics, name) for name in (*names, NO_ROUTE))
