"""The records of a tick share one reading of the clock, and a clock set back a little does not turn the log around."""

from gateway.stages.record.times import Times


def test_the_records_of_a_tick_share_a_time_until_it_is_over() -> None:
    now = [10.0]
    times = Times(lambda: now[0])
    assert times.first(shared=True) == 10.0
    now[0] = 11.0
    assert (times.shared, times.now(), times.first(shared=True)) == (10.0, 10.0, 10.0)
    times.shared = 0.0
    assert times.first(shared=False) == 11.0
    now[0] = 12.0
    assert times.now() == 12.0


def test_a_small_step_back_is_not_given_out_and_a_large_one_is() -> None:
    now = [10.0]
    times = Times(lambda: now[0])
    assert times.now() == 10.0
    now[0] = 9.5
    assert times.now() == 10.0
    now[0] = 8.0
    assert times.now() == 8.0
