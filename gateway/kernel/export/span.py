"""Spans and log lines as plain data, before they are OTLP.

Names of attributes are those of OpenTelemetry's semantic conventions, written out: those packages are not imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Values: TypeAlias = Mapping[str, str | int]

INTERNAL: Final = 1  # SpanKind of OTLP
SERVER: Final = 2
CLIENT: Final = 3


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened at one moment of a span."""

    name: str
    time: int  # nanoseconds since the epoch
    attributes: Values


@dataclass(frozen=True, slots=True)
class Span:
    """One span that has ended. Ids are hex digits; times are nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: int
    start: int
    end: int
    attributes: Values
    events: tuple[SpanEvent, ...] = ()
    failed: bool = False
    state: str = ""  # tracestate
    flags: int = field(default=0)  # of the trace context


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line for a collector's logs."""

    time: int  # nanoseconds since the epoch
    body: str
    attributes: Values
    trace_id: str | None = None  # hex
