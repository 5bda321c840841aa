"""The metrics of requests and decisions, their cells bound to the routes of one snapshot.

A status or reason seen for the first time makes its cell, and both are of closed sets; a method that nobody knows is
`other`, no route is `none`.
"""

from bisect import bisect_left, bisect_right
from functools import lru_cache

from gateway.kernel.cells import NO_ROUTE, OTHER_METHOD, Counter, Metrics
from gateway.model.methods import KNOWN_METHODS
from gateway.model.outcome import Outcome
from gateway.model.shadow import Shadow

SHORT = 4096  # milliseconds whose buckets are known


class RouteCounters:
    """Of one route."""

    __slots__ = (
        "_buckets",
        "_decisions",
        "_duration",
        "_latest",
        "_method",
        "_metrics",
        "_name",
        "_requests",
        "_status",
        "allowed",
    )

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._name = name
        self._duration = metrics.request_duration.labels(name)
        self._buckets = _buckets(tuple(self._duration.bounds))
        self._requests: dict[str, dict[int, Counter]] = {}  # by method and status
        # The latest of them is mostly the next too: of many routes, dictionaries of each lie in nobody's cache
        self._method, self._status, self._latest = "", -1, Counter()
        self._decisions: dict[str, Counter] = {}  # by reason, "" for an allowed request
        self.allowed: Counter | None = None  # that of allowed requests, once there was one

    def decided(self, effect: str, reason: str, shadows: tuple[Shadow, ...]) -> None:
        """Count one decision."""
        try:
            self._decisions[reason].value += 1.0
        except KeyError:
            cell = self._decisions[reason] = self._metrics.decisions.labels(self._name, effect, reason)
            cell.inc()
            if not reason:
                self.allowed = cell
        for shadow in shadows:
            self._metrics.shadow_decisions.labels(self._name, shadow.kind, shadow.effect.value).inc()

    def ended(self, method: str, outcome: Outcome, duration: float, between: int | None = None) -> None:
        """Count one request at its end; `duration` in seconds.

        `between`: the whole milliseconds of it, less than `SHORT`, where it lies between two of them; None: look.
        """
        status, reason, histogram = outcome.status, outcome.reason, self._duration
        if status == self._status and method == self._method:
            self._latest.value += 1.0
        else:
            self._other(method, status).value += 1.0
        bucket = None if between is None else self._buckets[between]
        # the histogram's `observe`, without the call
        histogram.counts[bisect_left(histogram.bounds, duration) if bucket is None else bucket] += 1
        histogram.sum += duration
        if reason is not None and (reason.status == 0 or reason.status != status):
            self._metrics.streams_terminated.labels(reason.code).inc()

    def traced(self, duration: float, trace_id: str, at: float) -> None:
        """Name the trace of a request that has `ended`; `at`: seconds since the epoch."""
        self._duration.exemplify(duration, trace_id, at)

    def _other(self, method: str, status: int) -> Counter:
        """The cell of another method or status than the latest, which it is from now on."""
        try:
            cell = self._requests[method][status]
        except KeyError:
            return self._first(method, status)
        self._method, self._status, self._latest = method, status, cell
        return cell

    def _first(self, method: str, status: int) -> Counter:
        if method not in KNOWN_METHODS:
            method = OTHER_METHOD
        known = status if 100 <= status <= 599 else 0
        cell = self._metrics.requests.labels(self._name, method, str(known))
        if method != OTHER_METHOD and known == status:  # a table by what clients send would be theirs to fill
            self._requests.setdefault(method, {})[status] = cell
        return cell


@lru_cache(8)
def _buckets(bounds: tuple[float, ...]) -> tuple[int | None, ...]:
    """The bucket of what lies between a number of milliseconds and the next; None where a bound lies there too."""
    micros = [round(bound * 1e6) for bound in bounds]
    below = [bisect_right(micros, 1000 * millis) for millis in range(SHORT)]
    above = [bisect_left(micros, 1000 * millis) for millis in range(1, SHORT + 1)]
    return tuple(bucket if bucket == end else None for bucket, end in zip(below, above, strict=True))


def route_counters(metrics: Metrics, names: tuple[str, ...]) -> tuple[RouteCounters, ...]:
    """One for each route, at its index; the last, at index -1, for requests without a route."""
    return tuple(RouteCounters(metrics, name) for name in (*names, NO_ROUTE))
