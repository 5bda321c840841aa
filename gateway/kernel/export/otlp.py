"""OTLP over HTTP with protobuf bodies: the only door to `opentelemetry.proto` (the extra `otel`).

Rule: blocking; for the thread of an outbox alone, which lets the loop's thread in again and again. Nothing is imported
before the first batch.
Source: OpenTelemetry Protocol 1.x, "OTLP/HTTP".
"""

import http.client
import importlib.util
import ssl
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway import __version__
from gateway.kernel.export.outbox import Rejected
from gateway.kernel.export.span import LogLine, Span, Values

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

TRACES, LOGS = "/v1/traces", "/v1/logs"
_TIMEOUT = 5.0  # seconds, of connecting and of each read
_RETRYABLE = frozenset({408, 429, 502, 503, 504})  # OTLP/HTTP names 429 and the 50x; a 408 is as passing
_SCOPE = "gateway"
_A_GO = 8  # spans or lines between two chances for the loop: about 0.1 ms


def missing_extra() -> bool:
    """True where the packages of the extra `otel` are not installed."""
    try:
        return importlib.util.find_spec("opentelemetry.proto") is None
    except ModuleNotFoundError:
        return True


class Collector:
    """One keep-alive connection to a collector. `url`: its base, to which /v1/traces and /v1/logs are appended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path.rstrip("/")
        self._tls = parts.scheme == "https"
        self._open: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes) -> None:
        """Hand over one export request. Raises OSError when it may be tried again, Rejected when not."""
        reused = self._open is not None
        try:
            status = self._exchange(path, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if not reused:
                raise
            status = self._exchange(path, body)  # an idle connection that the collector gave up
        if status in _RETRYABLE:
            raise OSError(f"the collector answered {status}")
        if not 200 <= status < 300:
            raise Rejected(f"the collector answered {status}")

    def close(self) -> None:
        """Give the connection up."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _exchange(self, path: str, body: bytes) -> int:
        connection = self._open or self._connect()
        self._open = None
        try:
            connection.request("POST", self._base + path, body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read(1 << 20)
        except http.client.HTTPException as error:
            connection.close()
            if isinstance(error, OSError):
                raise
            raise OSError(f"the collector's answer is no HTTP: {type(error).__name__}") from error
        except OSError:
            connection.close()
            raise
        if answer.isclosed():
            self._open = connection
        else:
            connection.close()
        return answer.status

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls:
            context = ssl.create_default_context()  # the system's roots, or SSL_CERT_FILE
            return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)


def encode_spans(spans: Iterable[Span], resource: Values) -> bytes:
    """An ExportTraceServiceRequest."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    of_us = request.resource_spans.add()
    _fill(of_us.resource.attributes, resource)
    scope = of_us.scope_spans.add()
    scope.scope.name, scope.scope.version = _SCOPE, __version__
    for count, span in enumerate(spans):
        if not count % _A_GO:
            time.sleep(0)  # the interpreter is the loop's
        made = scope.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            trace_state=span.state,
            flags=span.flags,
            name=span.name,
            kind=span.kind,
            start_time_unix_nano=span.start,
            end_time_unix_nano=span.end,
        )
        _fill(made.attributes, span.attributes)
        if span.parent_id is not None:
            made.parent_span_id = bytes.fromhex(span.parent_id)
        if span.failed:
            made.status.code = made.status.STATUS_CODE_ERROR
        for event in span.events:
            _fill(made.events.add(name=event.name, time_unix_nano=event.time).attributes, event.attributes)
    return request.SerializeToString()


def encode_logs(lines: Iterable[LogLine], resource: Values) -> bytes:
    """An ExportLogsServiceRequest."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO

    request = ExportLogsServiceRequest()
    of_us = request.resource_logs.add()
    _fill(of_us.resource.attributes, resource)
    scope = of_us.scope_logs.add()
    scope.scope.name, scope.scope.version = _SCOPE, __version__
    for count, line in enumerate(lines):
        if not count % _A_GO:
            time.sleep(0)
        made = scope.log_records.add(
            time_unix_nano=line.time,
            observed_time_unix_nano=line.time,
            severity_number=SEVERITY_NUMBER_INFO,
            severity_text="INFO",
        )
        made.body.string_value = line.body
        if line.trace_id is not None:
            made.trace_id = bytes.fromhex(line.trace_id)
        _fill(made.attributes, line.attributes)
    return request.SerializeToString()


def _fill(held: "RepeatedCompositeFieldContainer[KeyValue]", values: Values) -> None:
    for key, value in values.items():
        one = held.add(key=key).value
        if isinstance(value, str):
            one.string_value = value
        else:
            one.int_value = value
