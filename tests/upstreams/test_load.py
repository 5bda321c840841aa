"""The circuit breaker's counts and the budget of retries."""

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.load import Load
from gateway.upstreams.settings import BreakerSettings


def test_a_request_too_many_is_refused_and_room_returns() -> None:
    load = Load(BreakerSettings(max_requests=2), 20)
    load.enter()
    load.enter()
    with pytest.raises(Refused) as refused:
        load.enter()
    assert (refused.value.reason, refused.value.retry_after) == (Reason.CIRCUIT_OPEN, 1)
    load.leave()
    load.enter()
    assert load.requests == 2


def test_who_would_wait_too_many_is_refused() -> None:
    load = Load(BreakerSettings(max_pending=2), 20)
    load.wait(1)
    with pytest.raises(Refused) as refused:
        load.wait(2)
    assert refused.value.reason is Reason.CIRCUIT_OPEN


def test_without_a_breaker_nothing_is_refused() -> None:
    load = Load(None, 20)
    for _ in range(5000):
        load.enter()
    load.wait(100000)


@pytest.mark.parametrize(("requests", "retries"), [(1, 3), (15, 3), (20, 4), (100, 20)])
def test_retries_are_a_fifth_of_the_requests_or_three(requests: int, retries: int) -> None:
    load = Load(None, 20)
    for _ in range(requests):
        load.enter()
    assert [load.retry() for _ in range(retries + 1)] == [True] * retries + [False]
    load.retried()
    assert load.retry()
