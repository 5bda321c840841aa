"""The head that a backend gets."""

import dataclasses
from ipaddress import ip_address

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.claims import compile_value
from gateway.stages.forward.fields import RequestFields
from gateway.stages.forward.head import RequestHead
from gateway.stages.forward.rewrite import Rewrite
from tests.exchange import CONNECTION, SPAN_ID, TRACE_ID, WORKLOAD, Recorder, context, head, permit, user


def write(request: RequestHead, method: str = "GET", target: str = "/a", **made: object) -> list[str]:
    got = head(method, target, made.pop("headers", ()), length=made.pop("length", None))  # type: ignore[arg-type]
    ctx = context(got, **{key: made.pop(key) for key in ("client_ip", "authority", "state") if key in made})  # type: ignore[arg-type]
    written = request(permit(ctx, **made), Recorder(got))  # type: ignore[arg-type]
    assert written.endswith(b"\r\n\r\n")
    return written.decode("latin-1")[:-4].split("\r\n")


def plain(**made: object) -> RequestHead:
    return RequestHead(RequestFields(()), via="gw", own_id=None, **made)  # type: ignore[arg-type]


def test_whole() -> None:
    lines = write(plain(), target="/a?x=%41&y", headers=[("accept", "*/*")], state="vendor=1", workload=WORKLOAD)
    assert lines == [
        "GET /a?x=%41&y HTTP/1.1",
        "host: api.example.com",
        "x-forwarded-for: 203.0.113.7",
        "x-forwarded-proto: https",
        "x-forwarded-host: api.example.com",
        "x-request-id: req-1",
        f"traceparent: 00-{TRACE_ID}-{SPAN_ID}-01",
        "tracestate: vendor=1",
        "accept: */*",
        "via: 1.1 gw",
        f"x-forwarded-client-cert: Hash={WORKLOAD.fingerprint};URI={WORKLOAD.id}",
    ]


def test_behind_a_trusted_proxy_the_client_stands_before_the_peer() -> None:
    assert "x-forwarded-for: 198.51.100.9, 203.0.113.7" in write(plain(), client_ip="198.51.100.9")


def test_a_mapped_peer_is_written_as_what_it_is() -> None:
    connection = dataclasses.replace(CONNECTION, peer_ip=ip_address("::ffff:203.0.113.7"))
    request = head()
    ctx = dataclasses.replace(context(request), connection=connection)
    assert b"x-forwarded-for: 203.0.113.7\r\n" in plain()(permit(ctx), Recorder(request))


def test_an_empty_query_stays() -> None:
    assert write(plain(), target="/a?")[0] == "GET /a? HTTP/1.1"


def test_rewritten_host_and_path() -> None:
    lines = write(
        plain(rewrite=Rewrite(prefix="/in", host="in.internal:8443")),
        target="/api/1?q",
        authority="A.b:443",
        prefix="/api",
    )
    assert lines[:2] == ["GET /in/1?q HTTP/1.1", "host: in.internal:8443"]
    assert "x-forwarded-host: A.b:443" in lines


def test_claims_and_constants() -> None:
    made = plain(
        constant=[(b"x-env", b"prod")], claims=[(b"x-user", compile_value(("sub",))), (b"x-no", compile_value(("no",)))]
    )
    lines = write(made, user=user())
    assert ("x-env: prod" in lines, "x-user: alice" in lines, any(line.startswith("x-no") for line in lines)) == (
        True,
        True,
        False,
    )
    assert not any(line.startswith("x-user") for line in write(made))


@pytest.mark.parametrize(("length", "line"), [(0, "content-length: 0"), (7, "content-length: 7")])
def test_an_announced_length_is_written(length: int, line: str) -> None:
    assert line in write(plain(), "POST", length=length)


def test_a_body_of_unknown_length_is_chunked() -> None:
    request = head("POST", chunked=True)
    assert b"\r\ntransfer-encoding: chunked\r\n" in plain()(permit(context(request)), Recorder(request))


def test_H19_max_forwards_is_counted_down_on_options_and_dropped_elsewhere() -> None:
    assert "max-forwards: 2" in write(plain(), "OPTIONS", headers=[("max-forwards", "3")])
    assert not any("max-forwards" in line for line in write(plain(), headers=[("max-forwards", "3")]))


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        pytest.param("/a?x HTTP/1.1\r\nhost: evil", (), id="H18-query-with-a-line-break"),
        pytest.param("/a?x y", (), id="H18-query-with-a-space"),
        pytest.param("/a?\n", (), id="H18-query-with-a-line-feed"),
        pytest.param("/a", [("x", "a\r\nhost: evil")], id="H18-value-with-a-line-break"),
        pytest.param("/a", [("x", "a\rb")], id="H18-value-with-a-carriage-return"),
        pytest.param("/a", [("x", "a\0b")], id="H18-value-with-nul"),
        pytest.param("/a", [("x: y\r\nz", "a")], id="H18-name-with-a-line-break"),
    ],
)
def test_whatever_a_driver_lets_through_no_line_is_added(target: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused) as refused:
        write(plain(), target=target, headers=headers)
    assert refused.value.reason is Reason.BAD_REQUEST
