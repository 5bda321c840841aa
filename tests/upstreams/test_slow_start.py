"""Slow start: what an endpoint takes as it ages, and who enters it."""

from collections import Counter
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.json import JSON
from gateway.testing.upstream import Upstream, answer, in_turn
from gateway.testing.wait import until
from gateway.upstreams.balancers import BALANCERS
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.settings import (
    EndpointSettings,
    HealthSettings,
    OutlierSettings,
    SlowStartSettings,
    UpstreamSettings,
)
from gateway.upstreams.slow_start import SlowStart
from tests.backends import Counts, cluster, forward, running, send
from tests.upstreams.balancers.candidates import Candidate, named

TEN = SlowStartSettings(window=10.0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def shares(
    age: float, settings: SlowStartSettings = TEN, *, policy: str = "round_robin", weights: tuple[int, ...] = (1, 1, 1)
) -> list[float]:
    """What each of the candidates takes; the first is so old, the others are warm."""
    candidates = [Candidate(weight, 0, str(index)) for index, weight in enumerate(weights)]
    everyone = range(len(candidates))
    clock = Clock()
    pick = SlowStart(BALANCERS[policy](candidates, everyone), settings, {0: clock.now - age}, len(everyone), clock)
    taken = Counter(pick() for _ in range(2000))
    return [taken[index] / 2000 for index in everyone]


@pytest.mark.parametrize(
    ("age", "aggression", "part"), [(0, 1, 0.1), (1, 1, 0.1), (5, 1, 0.5), (9, 1, 0.9), (2.5, 2, 0.5), (5, 0.5, 0.25)]
)
def test_the_part_grows_with_age_as_envoys_does(age: float, aggression: float, part: float) -> None:
    settings = SlowStartSettings(10.0, aggression)
    assert settings.share(age) == pytest.approx(part)
    expected = part / (2 + part)
    assert shares(age, settings)[0] == pytest.approx(expected, abs=0.01)


def test_weights_and_ages_multiply() -> None:
    first, second, third = shares(5, weights=(4, 1, 1))
    assert (first, second, third) == pytest.approx((2 / 4, 1 / 4, 1 / 4), abs=0.01)


def test_least_request_too() -> None:
    assert 0.02 < shares(0, policy="least_request")[0] < 0.1
    assert shares(10, policy="least_request")[0] > 0.25


@given(st.lists(st.floats(0, 20), min_size=1, max_size=6), st.sampled_from(["round_robin", "least_request", "random"]))
def test_somebody_always_takes_it(ages: list[float], policy: str) -> None:
    clock, candidates = Clock(), named(len(ages))
    begun = {index: clock.now - age for index, age in enumerate(ages)}
    pick = SlowStart(BALANCERS[policy](candidates, range(len(ages))), TEN, begun, len(ages), clock)
    assert {pick() for _ in range(50)} <= set(range(len(ages)))


def test_where_all_are_as_new_nothing_changes() -> None:
    clock, candidates = Clock(), named(3)
    pick = SlowStart(BALANCERS["round_robin"](candidates, range(3)), TEN, dict.fromkeys(range(3), 100.0), 3, clock)
    assert [pick() for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_one_that_is_warm_by_now_is_an_endpoint_like_any_other() -> None:
    clock, candidates = Clock(), named(2)
    pick = SlowStart(BALANCERS["round_robin"](candidates, range(2)), TEN, {0: 100.0}, 2, clock)
    assert [pick() for _ in range(4)].count(0) == 0
    clock.now = 110.0
    assert [pick() for _ in range(4)].count(0) == 2


def parts(made: Cluster) -> list[float]:
    """The share of each endpoint, as the status tells it."""
    status = cast("dict[str, list[dict[str, JSON]]]", made.status())
    return [cast("float", endpoint["share"]) for endpoint in status["endpoints"]]


async def test_one_that_returns_from_its_ejection_begins_anew() -> None:
    outlier = OutlierSettings(consecutive_errors=1, ejection=0.2)
    script = in_turn(answer(500), answer(200))
    slow = SlowStartSettings(window=600.0)
    async with (
        Upstream(script) as sick,
        Upstream() as well,
        running(cluster(sick.url, well.url, outlier=outlier, slow_start=slow)) as made,
    ):
        assert parts(made) == [1.0, 1.0]
        for _ in range(2):
            await send(forward(made))
        assert made.ejected(sick.url)
        await until(lambda: not made.ejected(sick.url))
        assert parts(made) == [0.1, 1.0]
        taken = Counter([(await send(forward(made)))[0].endpoint for _ in range(22)])
        assert taken == {well.url: 20, sick.url: 2}


async def test_one_that_is_healthy_again_begins_anew_and_the_first_verdict_is_no_return() -> None:
    script = in_turn(answer(), answer(503), answer())
    health = HealthSettings("/", interval=0.05, healthy=1, unhealthy=1)
    slow = SlowStartSettings(window=600.0)
    async with (
        Upstream(script) as backend,
        Upstream() as other,
        running(cluster(backend.url, other.url, health=health, slow_start=slow)) as made,
    ):
        made.start()
        await until(lambda: not made.healthy(backend.url))
        assert parts(made) == [1.0, 1.0]
        await until(lambda: made.healthy(backend.url))
        assert parts(made) == [0.1, 1.0]


def test_an_endpoint_that_a_new_file_adds_begins_anew() -> None:
    clock = Clock()
    endpoints = tuple(EndpointSettings(f"http://{name}:80", name, 80, tls=False) for name in ("a", "b"))
    settings = UpstreamSettings("u", endpoints, slow_start=SlowStartSettings(10.0))
    assert parts(Cluster(settings, None, lambda _: Counts(), clock=clock)) == [1.0, 1.0]
    made = Cluster(settings, None, lambda _: Counts(), known={"http://a:80"}, clock=clock)
    assert parts(made) == [1.0, 0.1]
    assert Counter(made.pick().url for _ in range(22)) == {"http://a:80": 20, "http://b:80": 2}
    clock.now += 10
    assert parts(made) == [1.0, 1.0]
    assert Counter(made.pick().url for _ in range(10)) == {"http://a:80": 5, "http://b:80": 5}


def test_addresses_that_dns_adds_begin_anew_and_those_of_the_first_look_up_do_not() -> None:
    from ipaddress import ip_address

    clock = Clock()
    endpoint = EndpointSettings("http://a:80", "a", 80, tls=False)
    made = Cluster(
        UpstreamSettings("u", (endpoint,), slow_start=SlowStartSettings(10.0)), None, lambda _: Counts(), clock=clock
    )
    first, second, third = (ip_address(f"192.0.2.{number}") for number in (1, 2, 3))
    made._found(0, [first, second])
    assert parts(made) == [1.0, 1.0]
    made._found(0, [first, second, third])
    assert parts(made) == [1.0, 1.0, 0.1]
