"""OTLP as a collector reads it."""

import ssl
import sys
from pathlib import Path

import pytest

from gateway.kernel.export import CLIENT, SERVER, LogLine, Rejected, Span, SpanEvent
from gateway.kernel.export.otlp import LOGS, TRACES, Collector, encode_logs, encode_spans, missing_extra
from gateway.testing.ca import Authority
from gateway.testing.process import free_port
from gateway.testing.tls import server_context
from tests.otlp_collector import receiving, taken

RESOURCE = {"service.name": "gateway"}
SPAN = Span(
    "0af7651916cd43dd8448eb211c80319c",
    "b7ad6b7169203331",
    "00f067aa0ba902b7",
    "GET /x",
    SERVER,
    10,
    20,
    {"http.request.method": "GET", "http.response.status_code": 403},
    (SpanEvent("security.event", 15, {"security.reason": "no_rule_allows"}),),
    failed=True,
    state="a=1",
    flags=0x301,
)


def test_spans_arrive_as_they_were_made(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        bare = Span(SPAN.trace_id, "c7ad6b7169203331", None, "forward", CLIENT, 11, 12, {})
        Collector(receiver.url).post(TRACES, encode_spans([SPAN, bare], RESOURCE))
    first, second = taken(tmp_path)
    assert first["resource"] == RESOURCE
    assert (first["traceId"], first["spanId"], first["parentSpanId"]) == (SPAN.trace_id, SPAN.span_id, SPAN.parent_id)
    assert (first["name"], first["kind"], first["start"], first["end"]) == ("GET /x", "SPAN_KIND_SERVER", 10, 20)
    assert first["attributes"] == SPAN.attributes
    assert first["events"] == [{"name": "security.event", "security.reason": "no_rule_allows"}]
    assert first["status"] == {"code": "STATUS_CODE_ERROR"}
    assert (first["traceState"], first["flags"]) == ("a=1", 0x301)
    assert (second["kind"], second["parentSpanId"], second.get("status")) == ("SPAN_KIND_CLIENT", "", None)


def test_log_lines_arrive(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        Collector(f"{receiver.url}/").post(LOGS, encode_logs([LogLine(5, '{"seq":1}', {"seq": 1})], RESOURCE))
    assert taken(tmp_path, "logs") == [{"resource": RESOURCE, "attributes": {"seq": 1}, "body": '{"seq":1}'}]


def test_one_connection_serves_and_is_made_anew_when_the_collector_gave_it_up(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        collector = Collector(receiver.url)
        for _ in range(2):
            collector.post(TRACES, encode_spans([SPAN], RESOURCE))
        assert receiver.connections == 1
        receiver.keep_alive = False
        for _ in range(3):
            collector.post(TRACES, encode_spans([SPAN], RESOURCE))
        assert receiver.connections == 3
        collector.close()
    assert len(taken(tmp_path)) == 5


@pytest.mark.parametrize(("status", "error"), [(503, OSError), (429, OSError), (400, Rejected), (404, Rejected)])
def test_an_answer_says_whether_to_try_again(tmp_path: Path, status: int, error: type[Exception]) -> None:
    with receiving(tmp_path) as receiver:
        receiver.status = status
        with pytest.raises(error, match=f"the collector answered {status}"):
            Collector(receiver.url).post(TRACES, b"")


def test_over_tls_the_collector_is_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority("collectors")
    with receiving(tmp_path, server_context(authority.issue(dns=["localhost"]))) as receiver:
        url = receiver.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(ssl.SSLCertVerificationError):
            Collector(url).post(TRACES, encode_spans([SPAN], RESOURCE))
        assert taken(tmp_path) == []
        (tmp_path / "ca.pem").write_bytes(authority.pem())
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        collector = Collector(url)
        collector.post(TRACES, encode_spans([SPAN], RESOURCE))
        collector.close()
    assert len(taken(tmp_path)) == 1


def test_nobody_there_is_to_be_tried_again() -> None:
    with pytest.raises(ConnectionRefusedError):
        Collector(f"http://127.0.0.1:{free_port()}").post(TRACES, b"")


def test_a_missing_extra_is_known_without_loading_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not missing_extra()
    monkeypatch.setitem(sys.modules, "opentelemetry.proto", None)
    assert missing_extra()
