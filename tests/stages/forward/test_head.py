"""The head that a backend gets."""

import dataclasses
from ipaddress import ip_address

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import HeaderSection, RepeatedHead, TraceContext
from gateway.model.request import RequestHead as Received
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


def _again(method: str = "GET", *, length: int | None = None, headers: tuple[tuple[str, str], ...] = ()) -> Received:
    """A head that came before, with all that is kept of it."""
    return dataclasses.replace(
        head(method, "/a?b", headers, length=length), section=HeaderSection(), again=RepeatedHead()
    )


OTHERS: list[dict[str, object]] = [
    {},
    {"request_id": "req-2"},
    {"trace": TraceContext("1" * 32, None, "2" * 16, 0, "vendor=2")},
    {"client_ip": ip_address("198.51.100.9")},
    {"connection": dataclasses.replace(CONNECTION, peer_ip=ip_address("192.0.2.9"))},
    {"scheme": "http"},
]


@pytest.mark.parametrize("other", OTHERS, ids=[next(iter(other), "nothing") for other in OTHERS])
@pytest.mark.parametrize(
    "request_",
    [
        _again(),
        _again("POST", length=7),
        _again("OPTIONS", headers=(("max-forwards", "3"),)),
        _again(headers=(("connection", "x-a"), ("x-a", "1"), ("x-b", "2"))),
    ],
    ids=["bare", "a-body", "options", "H13-a-nominated-field"],
)
def test_a_head_that_came_before_is_written_as_one_that_did_not(request_: Received, other: dict[str, object]) -> None:
    writer, section = plain(), dataclasses.replace(request_, section=None, again=None)
    first = context(request_)
    second = dataclasses.replace(first, **other)  # type: ignore[arg-type]
    for ctx in (first, second, second, first):
        fresh = dataclasses.replace(ctx, head=section)
        for workload in (None, WORKLOAD):
            written = writer(permit(ctx, workload=workload), Recorder(request_))
            assert written == plain()(permit(fresh, workload=workload), Recorder(section))


def test_what_one_route_wrote_of_a_head_is_not_taken_for_anothers() -> None:
    request = _again(headers=(("x-a", "1"),))
    ours = permit(context(request))
    here = plain()
    there = RequestHead(RequestFields((), remove=[b"x-a"]), via="gw", own_id=None, rewrite=Rewrite(path="/b"))
    for _ in range(2):
        assert here(ours, Recorder(request)).startswith(b"GET /a?b HTTP/1.1\r\n")
        assert b"x-a" in here(ours, Recorder(request))
        assert there(ours, Recorder(request)).startswith(b"GET /b?b HTTP/1.1\r\n")
        assert b"x-a" not in there(ours, Recorder(request))


@pytest.mark.parametrize(
    "made",
    [
        pytest.param({"request_id": "1\r\nhost: evil"}, id="H18-request-id"),
        pytest.param({"request_id": "1\n"}, id="H18-request-id-with-a-line-feed"),
        pytest.param({"request_id": "1\0"}, id="H18-request-id-with-nul"),
        pytest.param({"trace": TraceContext("1\r\n", None, "2", 0, "")}, id="H18-trace-id"),
        pytest.param({"trace": TraceContext("1", None, "2\n", 0, "")}, id="H18-span-id"),
        pytest.param({"trace": TraceContext("1", None, "2", 0, "a=1\r\nhost: evil")}, id="H18-trace-state"),
        pytest.param({"authority": "a\r\nhost: evil"}, id="H18-authority"),
        pytest.param({"scheme": "http\r\nx: y"}, id="H18-scheme"),
        pytest.param({"path": "/a\r\nx: y"}, id="H18-path"),
        pytest.param({"path": "/a b"}, id="H18-path-with-a-space"),
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_no_part_adds_a_line_whether_the_head_came_before_or_not(made: dict[str, object], kept: bool) -> None:
    writer, request = plain(), _again() if kept else head()
    writer(permit(context(request)), Recorder(request))
    if "authority" in made or "path" in made:
        request = dataclasses.replace(request, again=RepeatedHead())  # other bytes: another head
    ctx = dataclasses.replace(context(request), **made)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            writer(permit(ctx), Recorder(request))
        assert refused.value.reason is Reason.BAD_REQUEST


def test_H18_a_host_that_is_no_one_line_is_no_rewrite() -> None:
    with pytest.raises(ValueError, match="line end"):
        plain(rewrite=Rewrite(host="a\r\nx: y"))


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
