"""Waiting before a request is sent again."""

import pytest

from gateway.stages.forward.backoff import backoff, retry_after

NOW = 784111770.0  # Sun, 06 Nov 1994 08:49:30 GMT


def test_waits_are_spread_up_to_a_bound_that_grows() -> None:
    for tries, most in ((1, 0.025), (2, 0.075), (3, 0.175), (4, 0.25), (10, 0.25)):
        waits = [backoff(tries) for _ in range(200)]
        assert 0 <= min(waits) < most / 4
        assert most * 0.7 < max(waits) <= most


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"7", 7.0),
        (b" 0 ", 0.0),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 7.0),
        (b"Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        (b"-3", 0.0),
        (b"soon", 0.0),
        (b"", 0.0),
        (b"9" * 400, 999999999.0),
    ],
)
def test_what_retry_after_asks_for(value: bytes, seconds: float) -> None:
    assert retry_after([(b"server", b"x"), (b"Retry-After", value)], NOW) == seconds


def test_no_retry_after_asks_for_nothing() -> None:
    assert retry_after([(b"server", b"x")], NOW) == 0.0
