"""Which requests become spans, and what those say."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.kernel.cells import Metrics
from gateway.kernel.export import CLIENT, INTERNAL, SERVER, Span
from gateway.model.outcome import Outcome
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import TraceContext
from gateway.model.route import Route
from gateway.model.trace import Stage, Trace
from gateway.stages.record import (
    AuditLog,
    Inputs,
    Record,
    RecordedRoute,
    RecordSettings,
    TracedRecord,
    Tracing,
)
from gateway.stages.record.spans import SpanMaker
from gateway.stages.record.traced import FORCED_A_SECOND
from gateway.testing.clock import Clock
from tests.stages.record.scene import (
    NOW,
    PRINCIPAL,
    Asked,
    allowed,
    context,
    decided,
    lines,
    open_log,
    redaction,
    refused,
)

MAKE = SpanMaker(("inventory",), ("/api/v1/inventory/*",), lambda who: f"hash of {len(who)}")
GOOD = Outcome(200, "stock", "https://stock.internal:9443", 0, 2)
TRACE, PARENT, OURS = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7", "b7ad6b7169203331"
UNSAMPLED = TraceContext(TRACE, None, OURS, 0, "")


class Sent:
    """A stage over a log, and what it sent."""

    def __init__(self, log: AuditLog, *, denials: bool = False) -> None:
        self.items: list[Any] = []
        settings = RecordSettings("c0ffee", (RecordedRoute("inventory", Inputs(redaction())),))
        tracing = Tracing(MAKE, self._take, denials)
        self.metrics = Metrics()
        self.record: Record = TracedRecord(settings, log, self.metrics, tracing, clock=Clock(NOW))

    def _take(self, items: Any) -> bool:
        self.items += items
        return True

    @property
    def spans(self) -> list[Span]:
        return [span for make, one in self.items for span in make(one)]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncGenerator[AuditLog]:
    made = open_log(tmp_path)
    made.start()
    yield made
    await made.close()


async def forwarded(record: Record, outcome: Outcome = GOOD, **values: Any) -> Trace:
    trace = allowed(record, **values)
    await decided(record, trace)
    trace.stage = Stage.FORWARD
    record.outcome(trace, outcome)
    return trace


async def test_a_server_span_with_a_child_for_each_stage(log: AuditLog) -> None:
    sent = Sent(log)
    await forwarded(sent.record, trace=TraceContext(TRACE, PARENT, OURS, 1, "vendor=1"))
    server, *children = sent.spans
    assert (server.trace_id, server.parent_id, server.kind, server.state) == (TRACE, PARENT, SERVER, "vendor=1")
    assert server.name == "GET /api/v1/inventory/*"
    assert [child.name for child in children] == ["accept", "record", "forward"]
    assert {child.parent_id for child in children} == {server.span_id}
    assert {child.trace_id for child in children} == {TRACE}
    assert len({span.span_id for span in sent.spans}) == 4
    assert children[0].start == server.start == int(NOW * 1e9)
    assert [child.end for child in children] == [*(child.start for child in children[1:]), server.end]


async def test_attributes_are_those_of_the_conventions_and_hold_no_query(log: AuditLog) -> None:
    sent = Sent(log)
    trace = await forwarded(sent.record)
    server, *_, forward = sent.spans
    assert server.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api/v1/inventory/*",
        "url.scheme": "https",
        "url.path": "/api/v1/inventory/42",
        "server.address": "api.example.com",
        "client.address": "198.51.100.9",
        "network.peer.address": "203.0.113.7",
        "network.peer.port": 5555,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "gateway.request_id": trace.request_id,
        "gateway.listener": "edge",
        "gateway.route": "inventory",
        "security_rule.name": "readers",
    }
    assert forward.kind == CLIENT
    assert forward.span_id == OURS  # what the backend was told is its parent
    assert forward.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "gateway.upstream": "stock",
        "server.address": "stock.internal",
        "server.port": 9443,
    }
    assert "secret" not in repr(sent.items)


async def test_an_answer_of_the_gateway_itself_called_nobody(log: AuditLog) -> None:
    sent = Sent(log)
    await forwarded(sent.record, Outcome(200, None, None, 0, 2))
    assert sent.spans[-1].kind == INTERNAL


async def test_what_is_not_sampled_is_recorded_everywhere_but_in_spans(log: AuditLog, tmp_path: Path) -> None:
    sent = Sent(log)
    await forwarded(sent.record, trace=UNSAMPLED)
    assert sent.items == []
    await log.close()
    assert [line["type"] for line in lines(tmp_path)][1:3] == ["decision", "outcome"]


async def test_a_denial_is_an_event_with_a_pseudonym(log: AuditLog) -> None:
    sent = Sent(log)
    trace = refused(sent.record, Reason.DENIED_BY_RULE, principal=PRINCIPAL)
    trace.refused = Refused(Reason.DENIED_BY_RULE, "detail", rule="no-strangers")
    sent.record.outcome(trace, Outcome(403, None, None, 0, 0))
    server, *_, last = sent.spans
    (event,) = server.events
    assert (event.name, event.time) == ("security.event", server.end)
    assert event.attributes == {
        "security.decision": "deny",
        "security.reason": "denied_by_rule",
        "security.rule": "no-strangers",
        "security.principal_hash": f"hash of {len(PRINCIPAL.caller)}",
    }
    assert not server.failed  # the server did what it should
    assert (last.name, last.attributes) == ("authorize", {"error.type": "denied_by_rule"})
    assert PRINCIPAL.caller not in repr(sent.spans)


async def test_without_a_proved_caller_no_principal_is_named(log: AuditLog) -> None:
    sent = Sent(log)
    sent.record.outcome(refused(sent.record, Reason.TOKEN_EXPIRED), Outcome(401, None, None, 0, 0))
    (event,) = sent.spans[0].events
    assert event.attributes == {"security.decision": "challenge", "security.reason": "token_expired"}


@pytest.mark.parametrize("reason", [Reason.STORE_UNAVAILABLE, Reason.NO_ROUTE])
async def test_an_outage_and_a_miss_are_no_security_events(log: AuditLog, reason: Reason) -> None:
    sent = Sent(log, denials=True)
    sent.record.outcome(refused(sent.record, reason), Outcome(reason.status, None, None, 0, 0))
    sent.record.outcome(refused(sent.record, reason, trace=UNSAMPLED), Outcome(reason.status, None, None, 0, 0))
    server = sent.spans[0]
    assert len(sent.items) == 1
    assert server.events == ()
    assert server.failed == (reason.status >= 500)
    assert server.attributes.get("error.type") == (reason.code if reason.status >= 500 else None)


async def test_denials_are_recorded_always_where_that_is_asked_up_to_a_bound(log: AuditLog) -> None:
    for denials, count in ((False, 0), (True, FORCED_A_SECOND)):
        sent = Sent(log, denials=denials)
        for _ in range(FORCED_A_SECOND + 5):
            trace = refused(sent.record, Reason.NO_RULE_ALLOWS, trace=UNSAMPLED)
            sent.record.outcome(trace, Outcome(403, None, None, 0, 0))
        await forwarded(sent.record, trace=UNSAMPLED)
        assert len(sent.items) == count


async def test_a_head_that_could_not_be_read_has_a_trace_of_its_own(log: AuditLog) -> None:
    sent = Sent(log, denials=True)
    trace = sent.record.begin(Asked("BREW"))
    trace.refused = Refused(Reason.BAD_REQUEST, "detail")
    sent.record.outcome(trace, Outcome(400, None, None, 0, 0))
    server, accept = sent.spans
    assert (server.trace_id, server.parent_id, server.name) == (trace.request_id, None, "HTTP")
    assert server.attributes["http.request.method"] == "_OTHER"
    assert server.attributes["http.request.method_original"] == "BREW"
    assert "url.path" not in server.attributes
    assert accept.attributes == {"error.type": "bad_request"}


async def test_a_backend_that_failed_is_named_by_the_reason(log: AuditLog) -> None:
    sent = Sent(log)
    trace = allowed(sent.record)
    trace.stage = Stage.FORWARD
    trace.refused = Refused(Reason.UPSTREAM_TIMEOUT)
    sent.record.outcome(trace, Outcome(504, "stock", "https://stock.internal", 0, 0, Reason.UPSTREAM_TIMEOUT))
    server, *_, forward = sent.spans
    assert (server.failed, server.attributes["error.type"], server.events) == (True, "upstream_timeout", ())
    assert (forward.failed, forward.attributes["error.type"]) == (True, "upstream_timeout")
    assert forward.attributes["server.port"] == 443


async def test_a_route_of_several_patterns_is_named(log: AuditLog) -> None:
    sent = Sent(log)
    trace = sent.record.begin(Asked())
    trace.ctx = context(trace, port=8443)
    trace.route = Route("none", -1, public=False, where=None, prefix="")
    trace.refused = Refused(Reason.METHOD_NOT_ALLOWED)
    sent.record.outcome(trace, Outcome(405, None, None, 0, 0))
    (_, one), several = sent.items[0], SpanMaker(("inventory",), (None,), str)
    assert next(iter(several(one))).name == "GET"
    assert next(iter(several(one))).attributes["server.port"] == 8443
    await forwarded(sent.record)
    server = next(iter(several(sent.items[1][1])))
    assert (server.name, "http.route" in server.attributes) == ("GET inventory", False)


async def test_a_sampled_request_is_an_exemplar_of_its_duration(log: AuditLog) -> None:
    sent = Sent(log)
    await forwarded(sent.record, trace=UNSAMPLED)
    assert sent.metrics.exemplars() == []
    await forwarded(sent.record, trace=TraceContext(TRACE, PARENT, OURS, 1, ""))
    ((labels, _, (trace, _, at)),) = sent.metrics.exemplars()
    assert (labels, trace, at) == (("inventory",), TRACE, NOW)
