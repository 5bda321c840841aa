"""Metric cells: numbers that the data path changes for the price of an attribute.

A cell is bound to its labels when a stage is built, never while a request is judged; labels come from the config alone.
`Metrics` holds every metric of the contract; it is made once a process and outlives every reload.
"""

from gateway.kernel.cells.cell import Counter, Gauge, Histogram
from gateway.kernel.cells.family import CounterFamily, Family, GaugeFamily, HistogramFamily, Merge
from gateway.kernel.cells.metrics import NO_ROUTE, OTHER_METHOD, Metrics

__all__ = [
    "NO_ROUTE",
    "OTHER_METHOD",
    "Counter",
    "CounterFamily",
    "Family",
    "Gauge",
    "GaugeFamily",
    "Histogram",
    "HistogramFamily",
    "Merge",
    "Metrics",
]
