"""Requests and decisions are counted under labels that no client can make."""

import pytest

from gateway.kernel.cells import Metrics
from gateway.model.outcome import Outcome
from gateway.model.reason import Effect, Reason
from gateway.model.shadow import Shadow
from gateway.stages.record.counters import SHORT, route_counters


def ended(method: str, outcome: Outcome) -> Metrics:
    metrics = Metrics()
    route_counters(metrics, ("r",))[0].ended(method, outcome, 0.2)
    return metrics


@pytest.mark.parametrize(
    ("method", "status", "labels"),
    [
        ("GET", 200, ("r", "GET", "200")),
        ("EVIL", 200, ("r", "other", "200")),
        ("get", 200, ("r", "other", "200")),
        ("GET", 999, ("r", "GET", "0")),
        ("GET", 0, ("r", "GET", "0")),
    ],
)
def test_a_request_is_counted_once_under_known_labels(method: str, status: int, labels: tuple[str, ...]) -> None:
    metrics = ended(method, Outcome(status, None, None, 0, 0))
    assert metrics.requests.rows() == [(labels, 1.0)]
    assert sum(metrics.request_duration.labels("r").counts) == 1


def test_a_flood_of_methods_makes_no_cells() -> None:
    metrics = Metrics()
    counters = route_counters(metrics, ("r",))[0]
    for number in range(1000):
        counters.ended(f"M{number}", Outcome(400, None, None, 0, 0), 0.1)
    assert metrics.requests.rows() == [(("r", "other", "400"), 1000.0)]


def test_each_of_several_methods_and_statuses_is_counted_as_itself() -> None:
    metrics = Metrics()
    counters = route_counters(metrics, ("r",))[0]
    asked = [("GET", 200), ("GET", 200), ("", 0), ("POST", 200), ("GET", 200), ("GET", 404), ("GET", 200)]
    for method, status in asked:
        counters.ended(method, Outcome(status, None, None, 0, 0), 0.1)
    assert dict(metrics.requests.rows()) == {
        ("r", "GET", "200"): 4.0,
        ("r", "other", "0"): 1.0,
        ("r", "POST", "200"): 1.0,
        ("r", "GET", "404"): 1.0,
    }


def test_no_route_is_none() -> None:
    metrics = Metrics()
    route_counters(metrics, ("r",))[-1].decided("no_route", "no_route", ())
    assert metrics.decisions.rows() == [(("none", "no_route", "no_route"), 1.0)]


def test_decisions_and_shadows() -> None:
    metrics = Metrics()
    counters = route_counters(metrics, ("r",))[0]
    counters.decided("allow", "", (Shadow("limit", "l", Effect.LIMIT, None),))
    counters.decided("deny", "no_rule_allows", ())
    assert dict(metrics.decisions.rows()) == {("r", "allow", ""): 1.0, ("r", "deny", "no_rule_allows"): 1.0}
    assert metrics.shadow_decisions.rows() == [(("r", "limit", "limit"), 1.0)]


@pytest.mark.parametrize(
    ("outcome", "broken"),
    [
        (Outcome(200, "u", "e", 0, 9, None), False),
        (Outcome(502, "u", "e", 0, 9, Reason.UPSTREAM_CONNECT), False),
        (Outcome(200, "u", "e", 0, 9, Reason.UPSTREAM_RESET), True),
        (Outcome(200, "u", "e", 0, 9, Reason.UPSTREAM_TIMEOUT), True),
        (Outcome(0, None, None, 0, 0, Reason.CLIENT_GONE), True),
    ],
)
def test_only_an_answer_that_was_broken_off_is_terminated(outcome: Outcome, *, broken: bool) -> None:
    assert bool(ended("GET", outcome).streams_terminated.rows()) is broken


def test_a_reload_keeps_the_counts() -> None:
    metrics = Metrics()
    for _ in range(2):
        route_counters(metrics, ("r",))[0].ended("GET", Outcome(200, None, None, 0, 0), 0.1)
    assert metrics.requests.labels("r", "GET", "200").value == 2


def test_a_duration_falls_into_the_bucket_that_its_bounds_say() -> None:
    metrics = Metrics()
    counters, wanted = route_counters(metrics, ("r",))[0], metrics.request_duration.labels("other")
    bounds = wanted.bounds
    for duration in [*bounds, *(bound + step for bound in bounds for step in (-3e-6, 3e-6)), 0.0021, 0.0029, 77.0]:
        millis, part = divmod(int(duration * 1e6 + 0.5), 1000)
        counters.ended("GET", Outcome(200, None, None, 0, 0), duration, millis if part and millis < SHORT else None)
        wanted.observe(duration)
    assert metrics.request_duration.labels("r").counts == wanted.counts
