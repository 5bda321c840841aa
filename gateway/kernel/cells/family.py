"""A metric with its labels: the cells by label values.

`labels()` is for build time: it makes a cell once and gives the same one ever after, so counts outlive a reload.
A family knows how its values of several workers become one (`merge`), so that one address can speak for all.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from gateway.kernel.cells.cell import Counter, Exemplar, Gauge, Histogram

LabelValues: TypeAlias = tuple[str, ...]
Value: TypeAlias = float | list[float]  # a histogram: its sum, then the counts of its buckets
Rows: TypeAlias = list[tuple[LabelValues, Value]]


class Merge(StrEnum):
    """How the values of several workers become one."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


_Cell = TypeVar("_Cell", Counter, Gauge, Histogram)


class Family(Generic[_Cell]):
    """One metric. `name` has no prefix; `labels` are its label names in order."""

    kind = ""

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), merge: Merge = Merge.SUM) -> None:
        self.name = name
        self.text = text
        self.label_names = tuple(labels)
        self.merge = merge
        self._cells: dict[LabelValues, _Cell] = {}

    def labels(self, *values: str) -> _Cell:
        """The cell of these label values, made when it is asked for first. Raises ValueError for a wrong number."""
        cell = self._cells.get(values)
        if cell is None:
            if len(values) != len(self.label_names):
                raise ValueError(f"{self.name} has the labels {self.label_names}, not {len(values)} of them")
            cell = self._cells[values] = self._make()
        return cell

    def forget(self, *values: str) -> None:
        """Drop one cell: what it told of is gone from the config. Who still holds it changes nothing any more."""
        self._cells.pop(values, None)

    def keep(self, wanted: set[LabelValues]) -> None:
        """Drop every cell whose label values are not in `wanted`."""
        for values in [v for v in self._cells if v not in wanted]:
            del self._cells[values]

    def rows(self) -> Rows:
        """Every cell's value; may run in any thread."""
        return [(values, self._read(cell)) for values, cell in list(self._cells.items())]

    def absorb(self, values: LabelValues, value: Value, *, first: bool) -> None:
        """Take another worker's value into the cell of the same labels; `first`: no worker spoke of it yet."""
        raise NotImplementedError

    def has(self, *values: str) -> bool:
        """Whether a cell of these label values exists."""
        return values in self._cells

    def _make(self) -> _Cell:
        raise NotImplementedError

    def _read(self, cell: _Cell) -> Value:
        raise NotImplementedError

    def _merged(self, ours: float, theirs: float, *, first: bool) -> float:
        if first:
            return theirs
        if self.merge is Merge.SUM:
            return ours + theirs
        return max(ours, theirs) if self.merge is Merge.MAX else min(ours, theirs)


class CounterFamily(Family[Counter]):
    """Counters; the name ends in `_total`."""

    kind = "counter"

    def absorb(self, values: LabelValues, value: Value, *, first: bool) -> None:
        cell = self.labels(*values)
        cell.value = self._merged(cell.value, _number(value), first=first)

    def _make(self) -> Counter:
        return Counter()

    def _read(self, cell: Counter) -> Value:
        return cell.value


class GaugeFamily(Family[Gauge]):
    """Gauges."""

    kind = "gauge"

    def absorb(self, values: LabelValues, value: Value, *, first: bool) -> None:
        cell = self.labels(*values)
        cell.set(self._merged(cell.value, _number(value), first=first))

    def _make(self) -> Gauge:
        return Gauge()

    def _read(self, cell: Gauge) -> Value:
        return cell.value


class HistogramFamily(Family[Histogram]):
    """Histograms that share one set of bounds."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        super().__init__(name, text, labels)
        self.bounds = tuple(bounds)

    def absorb(self, values: LabelValues, value: Value, *, first: bool) -> None:
        cell = self.labels(*values)
        if not isinstance(value, list) or len(value) != len(cell.counts) + 1:
            raise ValueError(f"{self.name}: another build's buckets")
        cell.sum += value[0]
        for index, count in enumerate(value[1:]):
            cell.counts[index] += int(count)

    def exemplars(self) -> list[tuple[LabelValues, int, Exemplar]]:
        """Each cell's, with their buckets."""
        return [
            (values, bucket, exemplar)
            for values, cell in list(self._cells.items())
            for bucket, exemplar in list(cell.exemplars.items())
        ]

    def _make(self) -> Histogram:
        return Histogram(self.bounds)

    def _read(self, cell: Histogram) -> Value:
        return [cell.sum, *cell.counts]


def _number(value: Value) -> float:
    if isinstance(value, list):
        raise ValueError("a number was expected, not buckets")
    return value
