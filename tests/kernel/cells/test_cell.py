"""Cells count."""

from gateway.kernel.cells import Counter, Gauge, Histogram


def test_a_counter_adds() -> None:
    cell = Counter()
    cell.inc()
    cell.inc(2)
    assert cell.value == 3


def test_a_gauge_goes_both_ways_and_can_ask() -> None:
    cell = Gauge()
    cell.inc(3)
    cell.dec()
    assert cell.value == 2
    cell.ask(lambda: 7.5)
    assert cell.value == 7.5
    cell.ask(None)
    assert cell.value == 2


def test_a_value_on_a_bound_falls_into_its_bucket_and_one_above_all_into_the_last() -> None:
    cell = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 5.0):
        cell.observe(value)
    assert cell.counts == [2, 2, 1]
    assert cell.sum == 6.65
