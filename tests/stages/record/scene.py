"""What the tests of the record stage share: a log in a folder, and requests that got as far as a test says."""

import json
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.kernel.cells import Metrics
from gateway.model.answer import OwnFields, WrittenFields
from gateway.model.connection import Connection
from gateway.model.json import Claims
from gateway.model.permit import Permit
from gateway.model.principal import Principal, User, Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import Preflight, RawHeaders, RequestContext, RequestHead, TraceContext
from gateway.model.route import Route
from gateway.model.trace import Stage, Trace
from gateway.stages.record import (
    AuditLog,
    Inputs,
    LogSettings,
    Record,
    RecordedRoute,
    RecordSettings,
    Redaction,
    Sink,
)
from gateway.testing.clock import Clock

NOW = 1_800_000_000.25
CONNECTION = Connection("edge", ip_address("203.0.113.7"), 5555, ip_address("10.0.0.1"), 8443, None)
CLAIMS: Claims = {"sub": "alice", "scope": "read write", "groups": ["a", "b"], "org": {"unit": "x"}}


class Asked:
    """An exchange of which only the head is looked at."""

    def __init__(
        self, method: str = "GET", target: bytes = b"/x?token=secret", headers: RawHeaders | None = None
    ) -> None:
        self.connection = CONNECTION
        self.head = RequestHead(method, target, "1.1", headers or [], None, has_body=False)
        self.started = False
        self.at_hand = False

    async def read(self) -> bytes:
        raise AssertionError("record reads no body")

    def hint(self, links: RawHeaders) -> None:
        raise AssertionError("record answers nothing")

    async def send_head(self, status: int, headers: RawHeaders, body: bytes = b"", *, end: bool) -> None:
        raise AssertionError("record answers nothing")

    async def send_written(self, status: int, front: WrittenFields, own: OwnFields, body: bytes) -> None:
        raise AssertionError("record answers nothing")

    async def send(self, data: bytes, *, end: bool) -> None:
        raise AssertionError("record answers nothing")

    def abort(self) -> None:
        raise AssertionError("record answers nothing")

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        raise AssertionError("record waits for nobody")


def open_log(
    directory: Path,
    *,
    stream: str = "here-w0",
    key: Ed25519PrivateKey | None = None,
    clock: Callable[[], float] | None = None,
    metrics: Metrics | None = None,
    durability: Any = "written",
    checkpoint: float = 3600.0,
    segment_size: int = 1 << 28,
    segment_age: float = 86400.0,
    keep: float | None = None,
    sinks: Sequence[Sink] = (),
) -> AuditLog:
    """An audit log, not started yet."""
    metrics = metrics or Metrics()
    settings = LogSettings(directory, stream, None, checkpoint, durability, segment_size, segment_age, keep)
    return AuditLog(
        settings,
        sign=key.sign if key is not None else None,
        clock=clock or Clock(NOW),
        records=metrics.audit_records,
        lag=metrics.audit_lag,
        sinks=sinks,
    )


def stage(
    log: AuditLog,
    metrics: Metrics | None = None,
    *,
    inputs: Inputs | None = None,
    refuse_unrecorded: bool = True,
    clock: Clock | None = None,
) -> Record:
    """The stage of a config with one route, `inventory`."""
    routes = (RecordedRoute("inventory", inputs or Inputs(redaction())),)
    clock = clock or Clock(NOW)
    return Record(
        RecordSettings("c0ffee", routes, refuse_unrecorded), log, metrics or Metrics(), clock=clock, monotonic=clock
    )


def redaction(mode: Any = "values", names: tuple[str, ...] = ()) -> Redaction:
    return Redaction(mode, names, b"k" * 32)


def context(trace: Trace, /, **values: Any) -> RequestContext:
    """What `accept` would have made of the request."""
    members: dict[str, Any] = {
        "connection": trace.connection,
        "head": trace.head,
        "request_id": trace.request_id,
        "trace": TraceContext("0af7651916cd43dd8448eb211c80319c", None, "b7ad6b7169203331", 1, ""),
        "time": trace.time,
        "scheme": "https",
        "method": trace.head.method,
        "host": "api.example.com",
        "authority": "api.example.com",
        "port": None,
        "path": "/api/v1/inventory/42",
        "query": "token=secret",
        "client_ip": ip_address("198.51.100.9"),
        "preflight": None,
        "values": {},
    }
    return RequestContext(**{**members, **values})


PRINCIPAL = Principal(
    Workload(
        "spiffe://cluster.local/ns/default/sa/web",
        "cluster.local",
        "default",
        "web",
        "ab",
        "cd",
        NOW + 60,
        "CN=web",
        (),
    ),
    User("https://auth.example.com", "corp", "alice", CLAIMS, NOW + 60),
    ip_address("198.51.100.9"),
)
ANONYMOUS = Principal(None, None, ip_address("198.51.100.9"))


def allowed(record: Record, *, asked: Asked | None = None, preflight: Preflight | None = None, **values: Any) -> Trace:
    """A request that was permitted and stands before its record."""
    trace = record.begin(asked or Asked())
    trace.ctx = context(trace, preflight=preflight, **values)
    trace.route = Route("inventory", 0, public=False, where=None, prefix="/api/v1/inventory")
    trace.principal = PRINCIPAL
    trace.permit = Permit(trace.ctx, trace.route, PRINCIPAL, "readers", None, (), (), None)
    trace.stage = Stage.RECORD
    return trace


def refused(record: Record, reason: Reason, *, principal: Principal | None = None, **values: Any) -> Trace:
    """A request that was refused while it was decided."""
    trace = record.begin(Asked())
    trace.ctx = context(trace, **values)
    trace.route = Route("inventory", 0, public=False, where=None, prefix="/api/v1/inventory")
    trace.principal = principal
    trace.stage = Stage.AUTHORIZE
    trace.refused = Refused(reason, "detail")
    return trace


async def decided(record: Record, trace: Trace) -> None:
    """What was decided of a request, told as the pipeline tells it. Raises Refused."""
    if trace.refused is None:
        await record.decision(trace)
    else:
        record.refusal(trace, trace.refused)


def lines(directory: Path, stream: str = "here-w0") -> list[dict[str, Any]]:
    """Every record of a stream, in order."""
    return [
        json.loads(line)
        for path in sorted(directory.glob(f"{stream}-*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]
