"""Trailer sections through the whole of it: a raw client, each driver, the forward stage, a raw backend."""

import contextlib
from collections.abc import AsyncGenerator

import pytest

from gateway.model.exchange import Exchange
from gateway.stages.forward.fields import AnswerFields
from gateway.stages.forward.stage import Forward
from gateway.testing.upstream import Call, Script, Upstream, answer, raw
from gateway.testing.wait import until
from gateway.upstreams.settings import RetrySettings
from tests.backends import cluster, forward, running
from tests.exchange import context, permit
from tests.serving import Answer, Client, Gateway, connected, get, serving

pytestmark = pytest.mark.usefixtures("driver")

OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
ALLOWED = (b"x-checksum",)


@contextlib.asynccontextmanager
async def through(
    script: "Script | None" = None, *, answers: AnswerFields | None = None, retries: RetrySettings | None = None
) -> AsyncGenerator[tuple[Client, Upstream, Gateway]]:
    """A client, and the backend that its requests reach; the route lets ALLOWED pass behind requests."""
    async with Upstream(script) as backend, running(cluster(backend.url, retries=retries)) as made:
        stage: Forward = forward(made, trailers=ALLOWED, answer=answers)

        async def handler(exchange: Exchange) -> None:
            await stage(permit(context(exchange.head)), exchange, [])

        async with serving(handler=handler) as gateway, connected(gateway.ports["edge"]) as client:
            yield client, backend, gateway


def post(*fields: str, trailers: bytes = b"") -> bytes:
    lines = ["POST / HTTP/1.1", "Host: example.com", "Transfer-Encoding: chunked", *fields, "", ""]
    return "\r\n".join(lines).encode() + b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n"


async def sent(client: Client, backend: Upstream, request: bytes) -> Call:
    """The request as the backend got it."""
    await client.send(request)
    assert (await client.answer()).status == 200
    call = backend.calls[-1]
    assert await call.body() == b"abc"
    return call


async def answered(client: Client, *fields: str, method: str = "GET") -> tuple[bytes, bytes]:
    """Head and body of an answer, as they came; the connection closes behind it."""
    await client.send(get("/", *fields, "Connection: close").replace(b"GET", method.encode(), 1))
    whole, _, body = (await client.all()).partition(b"\r\n\r\n")
    return whole.lower(), body


async def test_H12_what_a_route_lets_pass_and_a_request_declares_follows_its_body() -> None:
    async with through() as (client, backend, _):
        call = await sent(client, backend, post("Trailer: X-Checksum, X-Other", trailers=b"X-Checksum:  a=b \r\n"))
        assert (call.value("trailer"), call.trailers) == ("x-checksum", ((b"x-checksum", b"a=b"),))


@pytest.mark.parametrize(
    ("declared", "trailers"),
    [
        pytest.param("", b"X-Checksum: a\r\n", id="H12-not-declared"),
        pytest.param("x-other", b"X-Checksum: a\r\n", id="H12-another-declared"),
        pytest.param("x-other", b"X-Other: a\r\n", id="H12-not-let-through-by-the-route"),
        pytest.param("authorization", b"Authorization: Bearer t\r\n", id="H14-authorization"),
        pytest.param("x-forwarded-client-cert", b"X-Forwarded-Client-Cert: Hash=00\r\n", id="H14-xfcc"),
        pytest.param("x-gateway-assertion", b"X-Gateway-Assertion: t\r\n", id="H14-assertion"),
        pytest.param("X_Checksum", b"X_Checksum: a\r\n", id="H14-underscore"),
        pytest.param("content-length", b"Content-Length: 5\r\n", id="H12-framing"),
        pytest.param("x-checksum", b"", id="H12-declared-and-not-sent"),
    ],
)
async def test_what_else_follows_a_request_ends_here(declared: str, trailers: bytes) -> None:
    async with through() as (client, backend, gateway):
        call = await sent(client, backend, post(f"Trailer: {declared}", trailers=trailers))
        assert call.trailers == ()
        assert trailers.partition(b":")[0].lower() not in {name.lower() for name, _ in call.headers} or not trailers
        (trace,) = gateway.traces
        assert [name for name, _ in trace.head.headers] == [b"host", b"transfer-encoding", b"trailer"]
        await client.send(post())
        assert (await client.answer()).status == 200  # and nothing of it became a request


@pytest.mark.parametrize(
    "trailers",
    [
        pytest.param(b"X-Checksum: a\r\n b\r\n", id="H12-folded"),
        pytest.param(b"X-Checksum : a\r\n", id="H12-space-before-the-colon"),
        pytest.param(b"X-Checksum: a\x00b\r\n", id="H12-nul"),
        pytest.param(b"X-Checksum: a\x07b\r\n", id="H12-control"),
        pytest.param(b"X-Check(sum): a\r\n", id="H12-no-token"),
        pytest.param(b"X-Checksum: " + b"a" * 9000 + b"\r\n", id="H12-too-long"),
    ],
)
async def test_a_malformed_trailer_section_ends_the_request_and_the_connection(trailers: bytes) -> None:
    async with through() as (client, backend, gateway):
        await client.send(post("Trailer: x-checksum", trailers=trailers) + get("/next"))
        refused = await client.answer()
        assert (refused.status, refused.header(b"connection")) == (400, b"close")
        assert len(gateway.traces) == 1
        assert all(b"X-Check" not in bytes(seen) and b"/next" not in bytes(seen) for seen in backend.bytes_in)


async def test_H13_te_trailers_is_told_to_the_backend_and_no_other_coding() -> None:
    async with through() as (client, backend, _):
        call = await sent(client, backend, post("TE: gzip, trailers", "Connection: TE"))
        assert (call.values("te"), call.values("connection")) == ([b"trailers"], [b"te"])
        call = await sent(client, backend, post("TE: gzip", "Connection: TE"))
        assert (call.values("te"), call.values("connection")) == ([], [])


CHECKED = (
    OK + b"Trailer: X-Checksum, Set-Cookie\r\n\r\n2\r\nhi\r\n0\r\nX-Checksum: a \r\nSet-Cookie: a=b\r\nX-B: c\r\n\r\n"
)


@pytest.mark.parametrize("retries", [None, RetrySettings()], ids=["H12-plain", "H12-retried"])
async def test_trailers_of_an_answer_reach_a_client_that_takes_them(retries: RetrySettings | None) -> None:
    async with through(raw(CHECKED), retries=retries) as (client, _, _gateway):
        head, body = await answered(client, "TE: trailers")
        assert b"\r\ntrailer: x-checksum" in head
        assert b"set-cookie" not in head
        assert body == b"2\r\nhi\r\n0\r\nx-checksum: a\r\n\r\n"


@pytest.mark.parametrize(
    ("script", "fields", "method"),
    [
        pytest.param(CHECKED, (), "GET", id="H24-the-client-takes-none"),
        pytest.param(CHECKED, ("TE: gzip",), "GET", id="H24-the-client-takes-something-else"),
        pytest.param(
            OK + b"\r\n2\r\nhi\r\n0\r\nX-Checksum: a\r\n\r\n", ("TE: trailers",), "GET", id="H24-not-declared"
        ),
        pytest.param(
            OK + b"Trailer: location, x_user\r\n\r\n2\r\nhi\r\n0\r\nLocation: /\r\nX_User: a\r\n\r\n",
            ("TE: trailers",),
            "GET",
            id="H24-none-that-may-trail",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTrailer: x-checksum\r\nContent-Length: 2\r\n\r\nhi",
            ("TE: trailers",),
            "GET",
            id="H24-left-behind-with-a-length",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTrailer: x-checksum\r\nTransfer-Encoding: chunked\r\n\r\n",
            ("TE: trailers",),
            "HEAD",
            id="H24-head",
        ),
    ],
)
async def test_other_trailers_of_an_answer_end_here(script: bytes, fields: tuple[str, ...], method: str) -> None:
    async with through(raw(script)) as (client, _, _gateway):
        head, body = await answered(client, *fields, method=method)
        assert b"trailer" not in head
        assert (b"checksum" in body or b"ocation" in body) is False
        assert body in (b"hi", b"2\r\nhi\r\n0\r\n\r\n", b"")


async def test_H24_what_a_route_removes_is_removed_behind_the_body_too() -> None:
    async with through(raw(CHECKED), answers=AnswerFields([b"x-checksum"])) as (client, _, _gateway):
        head, body = await answered(client, "TE: trailers")
        assert (b"trailer" in head, body) == (False, b"hi")


async def test_H24_a_declared_trailer_that_does_not_come_is_a_clean_end() -> None:
    async with through(raw(OK + b"Trailer: x-checksum\r\n\r\n2\r\nhi\r\n0\r\n\r\n")) as (client, _, _gateway):
        await client.send(get("/", "TE: trailers"))
        first: Answer = await client.answer()
        assert (first.body, first.header(b"trailer")) == (b"hi", b"x-checksum")
        await client.send(get("/", "TE: trailers"))
        assert (await client.answer()).body == b"hi"


@pytest.mark.parametrize(
    "endless", [pytest.param(b"X-A: b\r\n", id="H23-fields"), pytest.param(b"a", id="H23-one-field")]
)
async def test_a_trailer_section_without_end_is_broken_off(endless: bytes) -> None:
    async def script(call: Call) -> None:
        await call.send(OK + b"Trailer: x-a\r\n\r\n2\r\nhi\r\n0\r\nX-A: ")
        while True:
            await call.send(endless * 4096)

    async with through(script) as (client, _, gateway):
        await client.send(get("/", "TE: trailers"))
        with contextlib.suppress(ConnectionError):
            assert not (await client.all()).endswith(b"\r\n\r\n")
        await until(lambda: gateway.open == 0)


async def test_H12_http10_has_no_place_for_trailers() -> None:
    async with through(raw(CHECKED)) as (client, _, _gateway):
        await client.send(b"GET / HTTP/1.0\r\nHost: a\r\nTE: trailers\r\n\r\n")
        assert (await client.all()).endswith(b"\r\n\r\nhi")


async def test_a_plain_answer_is_untouched_by_te() -> None:
    async with through(answer(body=b"plain")) as (client, _, _gateway):
        await client.send(get("/", "TE: trailers"))
        got = await client.answer()
        assert (got.body, got.header(b"content-length"), got.header(b"trailer")) == (b"plain", b"5", None)
