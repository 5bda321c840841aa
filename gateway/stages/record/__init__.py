"""Record: every decision and outcome, in the audit log and in the metrics."""

from gateway.stages.record.events import record_admin, record_config, record_handshake, record_store
from gateway.stages.record.inputs import Inputs, Redaction
from gateway.stages.record.log import AuditLog
from gateway.stages.record.settings import LogSettings, RecordedRoute, RecordSettings
from gateway.stages.record.sink import Deliver, Sink, SinkSettings
from gateway.stages.record.spans import Ended, SpanMaker
from gateway.stages.record.stage import Record
from gateway.stages.record.stream import AuditError
from gateway.stages.record.traced import TracedRecord, Tracing

__all__ = [
    "AuditError",
    "AuditLog",
    "Deliver",
    "Ended",
    "Inputs",
    "LogSettings",
    "Record",
    "RecordSettings",
    "RecordedRoute",
    "Redaction",
    "Sink",
    "SinkSettings",
    "SpanMaker",
    "TracedRecord",
    "Tracing",
    "record_admin",
    "record_config",
    "record_handshake",
    "record_store",
]
