"""Traces for a collector: `telemetry`. Absent: nothing is measured and nothing is loaded."""

from gateway.config.schema.base import Node
from gateway.config.schema.scalars import Boolean, NonEmpty, PercentText
from gateway.config.schema.units import Percent


class Telemetry(Node):
    """Where spans go, and of which requests. Needs the extra `otel`."""

    otlp: NonEmpty
    """The collector's base URL for OTLP over HTTP; /v1/traces and /v1/logs are appended."""
    sample: PercentText = Percent(10)
    """Of the traces that begin here; where the caller began the trace its own mark counts."""
    denials: Boolean = False
    """Record each denial (at most 100 a second), whatever the sample says."""
