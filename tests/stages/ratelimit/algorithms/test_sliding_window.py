from hypothesis import given
from hypothesis import strategies as st

from gateway.stages.ratelimit import SlidingWindow
from tests.stages.ratelimit.algorithms.contract import Bucket
from tests.stages.ratelimit.algorithms.oracle import oracle


@given(st.integers(1, 8), st.integers(5, 30), st.lists(st.integers(0, 9), max_size=60))
def test_it_decides_as_the_library_limits_does(quota: int, window: int, pauses: list[int]) -> None:
    """The library's windows stand on the clock: ours begins there too, and no pause is long enough to begin anew.

    Times lie off the moments at which a weight is whole: there the library rounds towards refusing.
    """
    start = window * 1_000_000.0
    bucket, now = Bucket(SlidingWindow(quota, window)), start
    with oracle("sliding-window-counter", quota, window) as judge:
        assert bucket.hit(start) == judge.hit(start)
        for number, pause in enumerate(pauses):
            now += min(pause, window - 1)
            time = now + (number + 1) * 1.7e-4
            if bucket.state is not None and time - bucket.state[0] >= 2 * window:
                break
            assert bucket.hit(time) == judge.hit(time), (time - start, bucket.state)


@given(st.integers(1, 30), st.lists(st.floats(0, 40), min_size=1, max_size=100))
def test_R1_in_no_time_as_long_as_the_window_does_twice_the_quota_pass(quota: int, pauses: list[float]) -> None:
    bucket, now, passed = Bucket(SlidingWindow(quota, 60)), 0.0, list[float]()
    for pause in pauses:
        now += pause
        while bucket.hit(now):
            passed.append(now)
            assert sum(now - 60 < time for time in passed) <= 2 * quota


def test_R1_around_a_windows_end_one_burst_passes_not_two() -> None:
    bucket = Bucket(SlidingWindow(10, 60))
    assert bucket.hit(1000)
    assert bucket.burst(1059.9, 100) == 9
    assert bucket.burst(1060, 100) == 1  # the first request's, which is a window ago
    assert bucket.burst(1066.1, 100) == 1


def test_it_says_when_there_is_room() -> None:
    bucket = Bucket(SlidingWindow(10, 60))
    bucket.burst(1000, 100)
    assert bucket.wait(1010) == 50  # the next window, in which these begin to weigh less
    assert bucket.hit(1060)
    assert bucket.wait(1060) == 6
    assert bucket.reset(1060) == 60


def test_one_request_a_window_passes_once_a_window() -> None:
    bucket = Bucket(SlidingWindow(1, 60))
    assert [bucket.hit(t) for t in (0, 1, 59.99, 60, 61, 119.99, 120)] == [True, False, False, True, False, False, True]
