"""An OTLP receiver of HTTP and protobuf: a process of its own, or a thread of a test.

What it takes it writes as JSON lines, spans into traces.jsonl and log records into logs.jsonl.
"""

import contextlib
import json
import ssl
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.testing.process import Process, running

REPOSITORY = Path(__file__).parents[1]


class Receiver(ThreadingHTTPServer):
    """Answers `status`; keeps what it was sent in `folder`."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.folder = folder
        self.status = 200
        self.asked = 0
        self.connections = 0
        self.keep_alive = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        self.close_connection = not self.server.keep_alive  # without saying so
        if self.server.status == 200:
            assert self.headers["content-type"] == "application/x-protobuf"
            self._take(body)
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def _take(self, body: bytes) -> None:
        if self.path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            found = [
                {"resource": _attributes(group.resource), "scope": scope.scope.name, **_shown(span)}
                for group in traces.resource_spans
                for scope in group.scope_spans
                for span in scope.spans
            ]
        else:
            assert self.path == "/v1/logs"
            logs = ExportLogsServiceRequest.FromString(body)
            found = [
                {
                    "resource": _attributes(group.resource),
                    "attributes": _attributes(line),
                    "body": line.body.string_value,
                }
                for group in logs.resource_logs
                for scope in group.scope_logs
                for line in scope.log_records
            ]
        with (self.server.folder / f"{self.path.rpartition('/')[2]}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(one) + "\n" for one in found)

    def log_message(self, *args: object) -> None: ...


def _shown(span: Any) -> dict[str, Any]:
    plain: dict[str, Any] = MessageToDict(span)
    return {
        **plain,
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_span_id.hex(),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": _attributes(span),
        "events": [{"name": event.name, **_attributes(event)} for event in span.events],
    }


def _attributes(held: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in held.attributes}


def taken(folder: Path, signal: str = "traces") -> list[dict[str, Any]]:
    """What arrived so far; of a line that is being written, nothing."""
    path = folder / f"{signal}.jsonl"
    whole = path.read_text("utf-8").rpartition("\n")[0] if path.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]


@contextlib.contextmanager
def receiving(folder: Path, context: ssl.SSLContext | None = None) -> Generator[Receiver]:
    """In a thread; over TLS with a context."""
    with Receiver(folder) as receiver:
        if context is not None:
            receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
        thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


@contextlib.contextmanager
def collector_process(folder: Path, port: int) -> Generator[Process]:
    """As a process of its own."""
    command = [sys.executable, "-m", "tests.otlp_collector", str(port), str(folder)]
    with running(command, folder / "collector.log", cwd=REPOSITORY) as process:
        process.wait_for((folder / "listening").exists, what="the collector to listen")
        yield process


if __name__ == "__main__":
    into = Path(sys.argv[2])
    with Receiver(into, int(sys.argv[1])) as served:
        (into / "listening").touch()
        served.serve_forever()
