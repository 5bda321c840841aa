"""Cells as Prometheus and OpenMetrics text, through prometheus-client's collector interface.

prometheus-client is imported at the first scrape: it costs a tenth of a second that no start needs to pay.
Takes tens of milliseconds for hundreds of routes: call `expose` in a thread.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from gateway.kernel.cells.family import HistogramFamily, Rows
from gateway.kernel.cells.metrics import PREFIX, AnyFamily, Metrics

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


def expose(metrics: Metrics, accept: str) -> tuple[str, bytes]:
    """The content type and the text that suit the Accept header `accept`."""
    from prometheus_client.exposition import choose_encoder

    encode, content_type = choose_encoder(accept)
    return content_type, encode(_Collector(metrics))


class _Collector:
    """What prometheus-client asks of a registry."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> "Iterator[Metric]":
        for family in self._metrics.families():
            yield _metric(family, family.rows())  # also one without cells: what may come is known from the start


def _metric(family: AnyFamily, rows: Rows) -> "Metric":
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.samples import Exemplar

    name = PREFIX + family.name
    if isinstance(family, HistogramFamily):
        histogram = HistogramMetricFamily(name, family.text, labels=family.label_names)
        bounds = [*map(repr, family.bounds), "+Inf"]
        named = {(values, bucket): exemplar for values, bucket, exemplar in family.exemplars()}
        for values, value in rows:
            assert isinstance(value, list)  # noqa: S101 - a histogram's row is a list: family.py
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for index, bound in enumerate(zip(bounds, accumulate(value[1:]), strict=True)):
                found = named.get((values, index))  # told in OpenMetrics alone
                shown = Exemplar({"trace_id": found.trace_id}, found.value, found.at) if found is not None else None
                buckets.append(bound if shown is None else (*bound, shown))
            histogram.add_metric(values, buckets, value[0])
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    plain = kind(name, family.text, labels=family.label_names)
    for values, value in rows:
        assert not isinstance(value, list)  # noqa: S101 - only a histogram's row is one
        plain.add_metric(values, value)
    return plain
