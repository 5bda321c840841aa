"""What leaves the process beside the data path: batches of spans and of audit lines, sent by threads of their own.

OTLP itself is `gateway.kernel.export.otlp`, imported where it is configured.
"""

from gateway.kernel.export.outbox import Outbox, Rejected, Told
from gateway.kernel.export.span import CLIENT, INTERNAL, SERVER, LogLine, Span, SpanEvent, Values

__all__ = [
    "CLIENT",
    "INTERNAL",
    "SERVER",
    "LogLine",
    "Outbox",
    "Rejected",
    "Span",
    "SpanEvent",
    "Told",
    "Values",
]
