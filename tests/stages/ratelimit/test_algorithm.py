"""One suite for all algorithms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stages.ratelimit import TokenBucket
from gateway.stages.ratelimit.algorithm import Algorithm, State, fair_share, price, share, take
from gateway.stages.ratelimit.algorithms import ALGORITHMS
from tests.stages.ratelimit.algorithms.contract import Bucket, algorithms, pauses
from tests.stages.ratelimit.requests import NOW

each = pytest.mark.parametrize("algorithm", [a(*(10, 60, 10)[: 3 if a is TokenBucket else 2]) for a in ALGORITHMS])


@each
def test_R1_a_fresh_bucket_admits_its_burst_and_not_one_more(algorithm: Algorithm) -> None:
    assert Bucket(algorithm).burst(NOW, 100) == 10


@each
def test_R1_a_bucket_that_idled_is_whole_again(algorithm: Algorithm) -> None:
    bucket = Bucket(algorithm)
    assert bucket.burst(NOW, 100) == 10
    assert bucket.burst(NOW + algorithm.life, 100) == 10


@each
def test_R1_a_client_at_exactly_the_rate_is_never_refused(algorithm: Algorithm) -> None:
    bucket = Bucket(algorithm)
    assert all(bucket.hit(NOW + number * 6) for number in range(200))


@each
def test_a_clock_that_is_set_back_far_does_not_shut_a_bucket_for_as_long(algorithm: Algorithm) -> None:
    bucket = Bucket(algorithm)
    bucket.burst(NOW, 100)
    assert not bucket.hit(NOW - 1)  # a little: nothing is given for it
    assert bucket.hit(NOW - 3600)


@each
def test_R13_a_new_rate_finds_what_was_spent_under_the_old_one(algorithm: Algorithm) -> None:
    bucket = Bucket(algorithm)
    bucket.burst(NOW, 100)
    bucket.algorithm = share(algorithm, 2)  # a lower rate
    assert bucket.remaining(NOW) == 0
    wider = type(algorithm)(*(20, 60, 20)[: 3 if isinstance(algorithm, TokenBucket) else 2])
    bucket.algorithm = wider
    assert bucket.remaining(NOW) == 10


@given(algorithms, pauses)
def test_R10_waiting_as_long_as_told_is_enough_and_not_much_too_long(algorithm: Algorithm, steps: list[float]) -> None:
    bucket, now = Bucket(algorithm), NOW
    for pause in steps:
        now += pause
        if not bucket.hit(now):
            wait = bucket.wait(now)
            assert 0 <= wait <= max(algorithm.window, algorithm.window / algorithm.quota) + 1e-6
            assert bucket.remaining(now + wait + 1e-4) >= 1
            if wait > 1e-3:
                assert bucket.remaining(now + wait - 1e-3) == 0


@given(algorithms, pauses, st.integers(1, 30))
def test_R10_what_costs_more_waits_as_long_as_that_takes(algorithm: Algorithm, steps: list[float], cost: int) -> None:
    bucket, now, taken = Bucket(algorithm), NOW, price(algorithm, cost)
    for pause in steps:
        now += pause
        if not bucket.hit(now, taken):
            wait = bucket.wait(now, cost)
            assert wait >= 0
            assert bucket.remaining(now + wait + 1e-4) >= taken
            if wait > 1e-3:
                assert bucket.remaining(now + wait - 1e-3) < taken


@given(algorithms, pauses)
def test_R10_numbers_are_never_negative_and_never_more_than_there_is(algorithm: Algorithm, steps: list[float]) -> None:
    bucket, now = Bucket(algorithm), NOW
    for pause in steps:
        now += pause
        bucket.hit(now)
        assert 0 <= bucket.remaining(now) <= algorithm.burst
        assert 0 <= bucket.reset(now) <= max(float(algorithm.window), algorithm.life) + 1e-6


@given(algorithms, st.integers(1, 9))
def test_shares_together_admit_at_least_the_whole_and_little_more(algorithm: Algorithm, processes: int) -> None:
    one = share(algorithm, processes)
    assert algorithm.quota <= one.quota * processes < algorithm.quota + processes
    assert algorithm.burst <= one.burst * processes < algorithm.burst + processes
    assert one.window == algorithm.window


@given(algorithms, st.integers(1, 30))
def test_fair_shares_are_together_no_more_than_the_whole_where_each_can_have_one(
    algorithm: Algorithm, asking: int
) -> None:
    one = fair_share(algorithm, asking)
    assert one.quota >= 1
    assert one.burst >= 1
    assert one.quota * asking <= max(algorithm.quota, asking)
    assert one.burst * asking <= max(algorithm.burst, asking)


@given(algorithms, st.lists(st.tuples(st.floats(-150, 250), st.integers(1, 5)), min_size=1, max_size=60))
def test_R1_what_is_taken_in_one_step_is_what_the_parts_say(
    algorithm: Algorithm, steps: list[tuple[float, int]]
) -> None:
    state: State | None = None
    now = NOW
    for pause, cost in steps:
        now += pause
        taken, expected = algorithm.take(state, now, cost), take(algorithm, state, now, cost)
        assert (taken is None) == (expected is None)
        if taken is not None and expected is not None:
            assert taken[:2] == expected[:2]
            assert taken[2] == pytest.approx(expected[2])
            state = taken[0]
