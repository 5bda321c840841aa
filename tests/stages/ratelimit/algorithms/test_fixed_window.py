from hypothesis import given
from hypothesis import strategies as st

from gateway.stages.ratelimit import FixedWindow
from tests.stages.ratelimit.algorithms.contract import Bucket
from tests.stages.ratelimit.algorithms.oracle import oracle
from tests.stages.ratelimit.requests import NOW


@given(st.integers(1, 8), st.integers(1, 30), st.lists(st.floats(0, 20), max_size=60))
def test_it_decides_as_the_library_limits_does(quota: int, window: int, pauses: list[float]) -> None:
    bucket, now = Bucket(FixedWindow(quota, window)), NOW
    with oracle("fixed-window", quota, window) as judge:
        for pause in pauses:
            now += pause
            assert bucket.hit(now) == judge.hit(now)


def test_R1_around_a_windows_end_twice_the_quota_passes_as_the_docs_say() -> None:
    bucket = Bucket(FixedWindow(10, 60))
    assert bucket.hit(NOW)
    assert bucket.burst(NOW + 59.9, 100) == 9
    assert bucket.burst(NOW + 60, 100) == 10


def test_the_window_begins_with_the_first_request_and_says_when_it_ends() -> None:
    bucket = Bucket(FixedWindow(2, 60))
    assert bucket.reset(NOW) == 0
    bucket.burst(NOW + 7, 2)
    assert (bucket.wait(NOW + 17), bucket.reset(NOW + 17)) == (50, 50)
