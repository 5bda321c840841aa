from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.stages.ratelimit import TokenBucket
from tests.stages.ratelimit.algorithms.contract import Bucket


@given(
    st.integers(1, 9), st.integers(1, 30), st.integers(1, 9), st.lists(st.integers(0, 40_000), min_size=1, max_size=80)
)
def test_it_decides_as_gcra_in_exact_numbers_does(quota: int, window: int, burst: int, pauses: list[int]) -> None:
    """The virtual scheduling algorithm of ATM Forum TM 4.0: a theoretical arrival time, in milliseconds."""
    increment = Fraction(window * 1000, quota)
    tolerance = increment * (burst - 1)
    bucket, now, arrival = Bucket(TokenBucket(quota, window, burst)), 10**9, Fraction(0)
    for pause in pauses:
        now += pause
        admitted = max(arrival, Fraction(now)) - now <= tolerance
        if admitted:
            arrival = max(arrival, Fraction(now)) + increment
        assert bucket.hit(now / 1000) == admitted


def test_R1_a_burst_and_then_the_rate() -> None:
    bucket = Bucket(TokenBucket(60, 60, 5))
    assert bucket.burst(1000, 100) == 5
    assert (bucket.wait(1000), bucket.reset(1000)) == (1, 5)
    assert bucket.burst(1000.9, 100) == 0
    assert bucket.burst(1003, 100) == 3
    assert bucket.burst(2000, 100) == 5


def test_a_burst_below_the_rate_holds_back_more_than_the_rate_would() -> None:
    assert Bucket(TokenBucket(1000, 1, 1)).burst(1000, 100) == 1
