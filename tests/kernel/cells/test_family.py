"""A family keeps its cells and merges those of several workers."""

import pytest

from gateway.kernel.cells import CounterFamily, GaugeFamily, HistogramFamily, Merge


def test_the_same_labels_are_the_same_cell_ever_after() -> None:
    family = CounterFamily("x_total", "x", ("a", "b"))
    family.labels("1", "2").inc()
    assert family.labels("1", "2").value == 1
    assert family.rows() == [(("1", "2"), 1.0)]


def test_a_wrong_number_of_labels_is_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match="x_total"):
        CounterFamily("x_total", "x", ("a",)).labels()


def test_what_is_gone_from_the_config_is_forgotten() -> None:
    family = GaugeFamily("x", "x", ("name",))
    for name in ("a", "b", "c"):
        family.labels(name).set(1)
    family.forget("a")
    family.keep({("b",)})
    assert [values for values, _ in family.rows()] == [("b",)]
    assert not family.has("c")


@pytest.mark.parametrize(("merge", "expected"), [(Merge.SUM, 1.0), (Merge.MAX, 4.0), (Merge.MIN, -3.0)])
def test_gauges_of_several_workers(merge: Merge, expected: float) -> None:
    family = GaugeFamily("x", "x", (), merge)
    family.absorb((), 4.0, first=True)
    family.absorb((), -3.0, first=False)
    assert family.labels().value == expected


def test_histograms_of_several_workers_add_up() -> None:
    family = HistogramFamily("x", "x", (), (1.0, 2.0))
    family.absorb((), [3.5, 1, 0, 1], first=True)
    family.absorb((), [1.5, 0, 1, 0], first=False)
    cell = family.labels()
    assert (cell.sum, cell.counts) == (5.0, [1, 1, 1])
    with pytest.raises(ValueError, match="buckets"):
        family.absorb((), [1.0, 2], first=False)
