"""Message framing over real sockets: what a client sends, what it is told, and what the application behind it saw."""

import asyncio

import pytest

from gateway.model.exchange import Exchange
from gateway.model.reason import Reason
from gateway.server.settings import Limits
from gateway.testing.wait import until
from tests.serving import connected, exchange_once, get, serving

pytestmark = pytest.mark.usefixtures("driver")

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n"
FRAMING, BAD = Reason.AMBIGUOUS_FRAMING, Reason.BAD_REQUEST


def head(*fields: str, line: str = "POST / HTTP/1.1", host: str | None = "example.com") -> bytes:
    return "\r\n".join([line, *([f"Host: {host}"] if host is not None else []), *fields, "", ""]).encode("latin-1")


def chunked(body: bytes) -> bytes:
    return head("Transfer-Encoding: chunked") + body


REFUSED = [
    pytest.param(head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n", FRAMING, id="H1-cl-te"),
    pytest.param(head("Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n", FRAMING, id="H1-te-cl"),
    pytest.param(head("Content-Length: 0", "Transfer-Encoding: chunked") + b"0\r\n\r\n", FRAMING, id="H1-cl-zero-te"),
    pytest.param(head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", FRAMING, id="H2-gzip-chunked"),
    pytest.param(head("Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n", FRAMING, id="H2-chunked-gzip"),
    pytest.param(head("Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n", FRAMING, id="H2-chunked-twice-in-one"),
    pytest.param(
        head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n", FRAMING, id="H2-two-te"
    ),
    pytest.param(head("Transfer-Encoding: xchunked"), FRAMING, id="H2-xchunked"),
    pytest.param(head("Transfer-Encoding: identity"), FRAMING, id="H2-identity"),
    pytest.param(head("Transfer-Encoding: \x0bchunked"), FRAMING, id="H2-vertical-tab"),
    pytest.param(head("Transfer-Encoding:"), FRAMING, id="H2-empty"),
    pytest.param(
        head("Transfer-Encoding: chunked", line="POST / HTTP/1.0") + b"0\r\n\r\n", FRAMING, id="H2-te-on-http10"
    ),
    pytest.param(head("Content-Length: 3", "Content-Length: 4") + b"abc", FRAMING, id="H3-differing"),
    pytest.param(head("Content-Length: 3", "Content-Length: 3") + b"abc", FRAMING, id="H3-repeated"),
    pytest.param(head("Content-Length: 3, 3") + b"abc", FRAMING, id="H3-list"),
    pytest.param(head("Content-Length: +3") + b"abc", FRAMING, id="H3-plus"),
    pytest.param(head("Content-Length: -3") + b"abc", FRAMING, id="H3-minus"),
    pytest.param(head("Content-Length: 0x3") + b"abc", FRAMING, id="H3-hex"),
    pytest.param(head("Content-Length: 3 3") + b"abc", FRAMING, id="H3-inner-space"),
    pytest.param(head("Content-Length:") + b"abc", FRAMING, id="H3-empty"),
    pytest.param(head("Content-Length: 3.0") + b"abc", FRAMING, id="H3-decimal"),
    pytest.param(head("Content-Length: " + "9" * 30) + b"abc", FRAMING, id="H3-overlong"),
    pytest.param(head("Content-Length: " + "0" * 30 + "3") + b"abc", FRAMING, id="H3-leading-zeros"),
    pytest.param(head("X-A: a\r\n folded"), BAD, id="H5-obs-fold"),
    pytest.param(head("X-A: a\rb"), BAD, id="H5-bare-cr"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: example.com\nX-A: b\r\n\r\n", BAD, id="H5-bare-lf"),
    pytest.param(b"GET / HTTP/1.1\nHost: example.com\r\n\r\n", BAD, id="H5-bare-lf-after-line"),
    pytest.param(head("X-A : a"), BAD, id="H5-space-before-colon"),
    pytest.param(head("Content-Length : 3") + b"abc", BAD, id="H5-space-before-colon-of-length"),
    pytest.param(head(": a"), BAD, id="H5-empty-name"),
    pytest.param(head("X A: a"), BAD, id="H5-name-no-token"),
    pytest.param(head("X-Ä: a"), BAD, id="H5-name-not-ascii"),
    pytest.param(head("X-A: a\x00b"), BAD, id="H5-nul-in-value"),
    pytest.param(head("X-A: a\x01b"), BAD, id="H5-control-in-value"),
    pytest.param(b"GET / HTTP/1.1\r\n Host: example.com\r\n\r\n", BAD, id="H5-leading-space-line"),
    pytest.param(b"GET / HTTP/1.1\r\nno colon\r\nHost: example.com\r\n\r\n", BAD, id="H5-line-without-colon"),
    pytest.param(head(line="GET  / HTTP/1.1"), BAD, id="H5-two-spaces"),
    pytest.param(head(line="GET\t/ HTTP/1.1"), BAD, id="H5-tab-in-request-line"),
    pytest.param(head(line="GET / HTTP/1.1 "), BAD, id="H5-trailing-space-in-request-line"),
    pytest.param(head(line="get / HTTP/1.1"), BAD, id="H5-lower-case-method"),
    pytest.param(head(line="GET / HTTP/2.0"), BAD, id="H5-version-2.0"),
    pytest.param(head(line="GET / HTTP/1.2"), BAD, id="H5-version-1.2"),
    pytest.param(head(line="GET / http/1.1"), BAD, id="H5-version-lower-case"),
    pytest.param(head(line="OPTIONS / RTSP/1.0"), BAD, id="H5-rtsp"),
    pytest.param(b"GET /\r\n\r\n", BAD, id="H5-http09"),
    pytest.param(head(line="GET / HTTP/1.1", host=None), BAD, id="H6-no-host"),
    pytest.param(head("Host: evil.example", line="GET / HTTP/1.1"), BAD, id="H6-two-hosts"),
    pytest.param(head("Host: example.com", line="GET / HTTP/1.1"), BAD, id="H6-two-equal-hosts"),
    pytest.param(head(line="GET / HTTP/1.1", host=""), BAD, id="H6-empty-host"),
    pytest.param(head(line="GET / HTTP/1.1", host="example.com/?x="), BAD, id="H6-host-with-path"),
    pytest.param(head(line="GET / HTTP/1.1", host="user@example.com"), BAD, id="H6-userinfo"),
    pytest.param(head(line="GET / HTTP/1.1", host="a, b"), BAD, id="H6-comma"),
    pytest.param(head(line="GET / HTTP/1.1", host="a b"), BAD, id="H6-space"),
    pytest.param(head(line="GET / HTTP/1.1", host="a:99999"), BAD, id="H6-port-out-of-range"),
    pytest.param(head(line="GET / HTTP/1.1", host="[::1"), BAD, id="H6-open-bracket"),
    pytest.param(head(line="GET / HTTP/1.1", host="[::1%25eth0]"), BAD, id="H6-zone"),
    pytest.param(head(line="GET http://user@example.com/ HTTP/1.1"), BAD, id="H6-H7-userinfo-in-absolute-form"),
    pytest.param(head(line="GET ftp://example.com/ HTTP/1.1"), BAD, id="H6-H7-other-scheme"),
    pytest.param(head(line="GET example.com:80 HTTP/1.1"), BAD, id="H6-authority-form-without-connect"),
    pytest.param(head(line="GET * HTTP/1.1"), BAD, id="H6-asterisk-without-options"),
    pytest.param(
        head(line="CONNECT example.com:443 HTTP/1.1"), Reason.METHOD_NOT_ALLOWED, id="H6-H19-connect-opens-no-tunnel"
    ),
    pytest.param(head("Upgrade: foo", "Connection: Upgrade"), Reason.UPGRADE_REFUSED, id="H27-unknown-protocol"),
    pytest.param(
        head("Upgrade: foo", "Connection: Upgrade", f"Content-Length: {len(SMUGGLED)}"),
        Reason.UPGRADE_REFUSED,
        id="H27-body-is-no-request",
    ),
    pytest.param(
        head("Upgrade: websocket", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Version: 13"),
        Reason.UPGRADE_REFUSED,
        id="H27-websocket",
    ),
    pytest.param(head("Upgrade: websocket"), Reason.UPGRADE_REFUSED, id="H27-upgrade-not-nominated"),
    pytest.param(
        head("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
        Reason.UPGRADE_REFUSED,
        id="H34-h2c",
    ),
    pytest.param(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD, id="H34-prior-knowledge",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), REFUSED)
async def test_a_faulty_head_is_refused_recorded_and_ends_the_connection(raw: bytes, reason: Reason) -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(raw)
        answer = await client.answer()
        assert (answer.status, answer.reason) == (reason.status, reason.code)
        assert gateway.reason is reason  # recorded, once
        assert gateway.seen == []
        if answer.header(b"connection") is None:  # Host's grammar is no matter of framing: the connection goes on
            await client.send(get("/next"))
            assert (await client.answer()).status == 200
        else:
            await client.send(SMUGGLED)
            assert await client.all() == b""
            assert gateway.seen == []


@pytest.mark.parametrize(("raw", "reason"), REFUSED)
async def test_nothing_behind_a_faulty_head_is_a_request(raw: bytes, reason: Reason) -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(raw + SMUGGLED)
        first = await client.answer()
        assert first.reason == reason.code
        if first.header(b"connection") == b"close":
            assert await client.all() == b""
            assert gateway.seen == []
        else:  # a body-less request with a bad Host: what follows is a request of its own, judged on its own
            assert (await client.answer()).status == 200
            assert [seen.target for seen in gateway.seen] == [b"/smuggled"]


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        pytest.param(head("Content-Length: 3") + b"abc", b"abc", id="H3-one-length"),
        pytest.param(head("Content-Length: 0"), b"", id="H3-zero"),
        pytest.param(head("Content-Length: 003") + b"abc", b"abc", id="H3-few-leading-zeros"),
        pytest.param(head("transfer-encoding: Chunked") + b"3\r\nabc\r\n0\r\n\r\n", b"abc", id="H2-any-case"),
        pytest.param(chunked(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), b"abc0123456789", id="H4-two-chunks"),
        pytest.param(chunked(b"3;a=b\r\nabc\r\n0;x\r\n\r\n"), b"abc", id="H4-short-extensions"),
        pytest.param(chunked(b"3;" + b"a" * 255 + b"\r\nabc\r\n0\r\n\r\n"), b"abc", id="H4-extension-at-the-bound"),
        pytest.param(chunked(b"000000003\r\nabc\r\n000\r\n\r\n"), b"abc", id="H4-leading-zeros"),
        pytest.param(head("X-A: a\tb"), b"", id="H5-tab-in-value"),
        pytest.param(b"\r\n" + get(), b"", id="H5-one-empty-line-before"),
        pytest.param(head(line="GET / HTTP/1.1", host="[::1]:8443"), b"", id="H6-ipv6"),
        pytest.param(head(line="GET http://example.com/x HTTP/1.1", host="other"), b"", id="H6-H7-absolute-form"),
        pytest.param(head(line="OPTIONS * HTTP/1.1"), b"", id="H6-asterisk"),
    ],
)
async def test_the_plain_neighbours_of_the_attacks_are_served(raw: bytes, body: bytes) -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(raw + get("/next"))
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
        assert gateway.seen[0].body == body
        assert [seen.target for seen in gateway.seen[1:]] == [b"/next"]


async def test_H7_absolute_form_outranks_host_where_requests_are_judged() -> None:
    async with serving() as gateway:
        raw = head(line="GET http://Example.COM:81/x HTTP/1.1", host="other.example")
        assert (await exchange_once(gateway.ports["edge"], raw)).status == 200
        ctx = gateway.traces[0].ctx
        assert ctx is not None
        assert (ctx.host, ctx.port, ctx.path) == ("example.com", 81, "/x")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"g\r\n", id="H4-no-hex"),
        pytest.param(b"\r\n", id="H4-no-size"),
        pytest.param(b"+3\r\nabc\r\n0\r\n\r\n", id="H4-plus"),
        pytest.param(b"-3\r\nabc\r\n0\r\n\r\n", id="H4-minus"),
        pytest.param(b"0x3\r\nabc\r\n0\r\n\r\n", id="H4-0x"),
        pytest.param(b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n", id="H4-underscore"),
        pytest.param(b"3 \r\nabc\r\n0\r\n\r\n", id="H4-space-behind-size"),
        pytest.param(b" 3\r\nabc\r\n0\r\n\r\n", id="H4-space-before-size"),
        pytest.param(b"3 ;a\r\nabc\r\n0\r\n\r\n", id="H4-space-before-extension"),
        pytest.param(b"f" * 16 + b"\r\nabc", id="H4-size-overflows"),
        pytest.param(b"0" * 200 + b"3\r\nabc\r\n0\r\n\r\n", id="H4-many-digits"),
        pytest.param(b"3\nabc\r\n0\r\n\r\n", id="H4-bare-lf-behind-size"),
        pytest.param(b"3\r\nabc\n0\r\n\r\n", id="H4-bare-lf-behind-data"),
        pytest.param(b"3\r\nabc0\r\n\r\n", id="H4-no-crlf-behind-data"),
        pytest.param(b"3\r\nabcd\r\n0\r\n\r\n", id="H4-longer-than-size"),
        pytest.param(b"3;a\nb\r\nabc\r\n0\r\n\r\n", id="H4-lf-in-extension"),
        pytest.param(b"3;a\rb\r\nabc\r\n0\r\n\r\n", id="H4-cr-in-extension"),
        pytest.param(b"3;a\0b\r\nabc\r\n0\r\n\r\n", id="H4-nul-in-extension"),
        pytest.param(b"3;" + b"a" * 256 + b"\r\nabc\r\n0\r\n\r\n", id="H4-long-extension"),
        pytest.param(b"3;" + b"a" * 100_000, id="H4-extension-without-end"),
        pytest.param((b"1;" + b"a" * 200 + b"\r\nx\r\n") * 50 + b"0\r\n\r\n", id="H4-many-extensions"),
        pytest.param(b"0\r\nX\r\n\r\n", id="H4-H12-trailer-without-colon"),
        pytest.param(b"0\r\n X: a\r\n\r\n", id="H4-H12-trailer-folded"),
        pytest.param(b"0\r\nX: a\nY: b\r\n\r\n", id="H4-H12-bare-lf-in-trailer"),
        pytest.param(b"0\r\n" + b"X: aaaaaaaaaaaaaaaa\r\n" * 500 + b"\r\n", id="H4-H12-trailers-without-end"),
    ],
)
async def test_a_faulty_chunked_body_is_refused_and_nothing_behind_it_is_read(body: bytes) -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(chunked(body) + SMUGGLED)
        answer = await client.answer()
        assert (answer.status, answer.reason) == (400, "ambiguous_framing")
        assert answer.header(b"connection") == b"close"
        assert await client.all() == b""
        assert gateway.seen == []


@pytest.mark.parametrize("step", [1, 2, 3, 7])
async def test_H4_H11_framing_is_the_same_however_the_bytes_arrive(step: int) -> None:
    raw = (
        get("/1")
        + chunked(b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: a\r\n\r\n")
        + head("Content-Length: 4")
        + b"body"
        + get("/2")
    )
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        for at in range(0, len(raw), step):
            await client.send(raw[at : at + step])
        assert [(await client.answer()).status for _ in range(4)] == [200] * 4
        assert [(seen.target, seen.body) for seen in gateway.seen] == [
            (b"/1", b""), (b"/", b"hello!"), (b"/", b"body"), (b"/2", b""),
        ]  # fmt: skip


async def test_H9_a_target_too_long_is_414() -> None:
    async with serving() as gateway:
        answer = await exchange_once(gateway.ports["edge"], get("/" + "a" * 8200))
        assert (answer.status, answer.reason, answer.header(b"connection")) == (414, "target_too_long", b"close")
        assert gateway.reason is Reason.TARGET_TOO_LONG


async def test_H9_a_target_without_end_is_414_before_it_ends() -> None:
    async with serving() as gateway:
        assert (await exchange_once(gateway.ports["edge"], b"GET /" + b"a" * 20000)).status == 414


async def test_H9_a_target_at_the_bound_is_served() -> None:
    async with serving() as gateway:
        assert (await exchange_once(gateway.ports["edge"], get("/" + "a" * 8191))).status == 200


@pytest.mark.parametrize("whole", [True, False], ids=["H9-whole", "H9-without-end"])
async def test_header_bytes_beyond_the_limit_are_431(whole: bool) -> None:
    raw = head("X-A: " + "a" * 33000, line="GET / HTTP/1.1")
    async with serving() as gateway:
        answer = await exchange_once(gateway.ports["edge"], raw if whole else raw[:-4])
        assert (answer.status, answer.reason, answer.header(b"connection")) == (431, "headers_too_large", b"close")
        assert gateway.reason is Reason.HEADERS_TOO_LARGE


async def test_H9_five_megabytes_of_header_are_refused_and_not_kept() -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        client.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * (5 << 20))
        assert (await client.answer()).status == 431
        assert gateway.seen == []


async def test_H9_the_number_of_fields_is_bounded() -> None:
    async with serving() as gateway:
        port = gateway.ports["edge"]
        assert (await exchange_once(port, get("/", *[f"X-{n}: a" for n in range(99)]))).status == 200
        assert (await exchange_once(port, get("/", *[f"X-{n}: a" for n in range(100)]))).status == 431
        assert gateway.reason is Reason.HEADERS_TOO_LARGE


async def test_H9_limits_are_the_listeners() -> None:
    async with serving(limits=Limits(header_bytes=1024, headers=5)) as gateway:
        port = gateway.ports["edge"]
        assert (await exchange_once(port, get("/", "X-A: " + "a" * 900))).status == 200
        assert (await exchange_once(port, get("/", "X-A: " + "a" * 1000))).status == 431
        assert (await exchange_once(port, get("/", *[f"X-{n}: a" for n in range(5)]))).status == 431


async def test_H9_a_head_that_does_not_end_is_408_after_the_header_timeout() -> None:
    async with serving(limits=Limits(header_timeout=0.2)) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: example.com\r\nX-A: a")
        answer = await client.answer()
        assert (answer.status, answer.reason, answer.header(b"connection")) == (408, "request_timeout", b"close")
        assert gateway.reason is Reason.REQUEST_TIMEOUT
        assert gateway.traces[0].head.target == b"/slow"


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        pytest.param(b"GET /x HTTP/1.1\nHost: example.com\n\n", b"/x", id="H5-bare-lf-throughout"),
        pytest.param(b"GET /x HTTP/1.1\r\nHost: example.com\n", b"/x", id="H5-bare-lf-in-a-part"),
        pytest.param(b"GET /x\r\n", b"/x", id="H5-http-0.9"),
        pytest.param(b"GET /x HTTP/2.0\r\n", b"/x", id="H5-http-2-in-a-part"),
    ],
)
async def test_what_can_become_no_head_is_refused_without_waiting(raw: bytes, target: bytes) -> None:
    async with serving(limits=Limits(header_timeout=60)) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(raw)
        answer = await client.answer()
        assert (answer.status, answer.reason) == (400, "bad_request")
        assert gateway.traces[0].head.target == target


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param(b"/a\x01b", "ambiguous_path", id="P2-control"),
        pytest.param(b"/a\x7fb", "ambiguous_path", id="P2-delete"),
        pytest.param(b"/\xc3\xa9", "ambiguous_path", id="P2-non-ascii"),
        pytest.param(b"/a?\xe9", "bad_request", id="P6-non-ascii-in-the-query"),
        pytest.param(b"/a b", "bad_request", id="P2-space-ends-the-target"),
    ],
)
async def test_raw_bytes_of_a_path_are_refused_as_ambiguous(path: bytes, reason: str) -> None:
    async with serving() as gateway:
        raw = b"GET " + path + b" HTTP/1.1\r\nHost: example.com\r\n\r\n"
        answer = await exchange_once(gateway.ports["edge"], raw)
        assert (answer.status, answer.reason) == (400, reason)
        assert gateway.seen == []


async def test_H9_dripping_bytes_does_not_move_the_header_timeout() -> None:
    async with serving(limits=Limits(header_timeout=0.3)) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get("/first"))
        assert (await client.answer()).status == 200
        began = asyncio.get_running_loop().time()
        raw = head("X-A: " + "a" * 1000, line="GET / HTTP/1.1")
        answer = asyncio.ensure_future(client.answer())
        for byte in raw:
            if answer.done():
                break
            await client.send(bytes((byte,)))
            await asyncio.wait([answer], timeout=0.02)
        assert (await answer).status == 408
        assert 0.25 < asyncio.get_running_loop().time() - began < 1.5
        assert [seen.target for seen in gateway.seen] == [b"/first"]


async def test_H9_a_silent_connection_is_closed_without_an_answer() -> None:
    async with serving(limits=Limits(header_timeout=0.1)) as gateway, connected(gateway.ports["edge"]) as client:
        assert await client.all() == b""
        assert gateway.traces == []


async def test_H9_an_idle_connection_is_closed_after_the_idle_timeout() -> None:
    limits = Limits(header_timeout=5, idle_timeout=0.2)
    async with serving(limits=limits) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        assert (await client.answer()).header(b"connection") is None
        assert await client.all(2) == b""
        assert len(gateway.seen) == 1


async def test_H9_a_body_that_stalls_is_408() -> None:
    async with serving(limits=Limits(idle_timeout=0.2)) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(head("Content-Length: 10") + b"half")
        answer = await client.answer()
        assert (answer.status, answer.header(b"connection")) == (408, b"close")
        assert gateway.seen == []


async def test_H9_connections_beyond_the_limit_are_closed() -> None:
    async with serving(limits=Limits(connections=2)) as gateway:
        port = gateway.ports["edge"]
        async with connected(port) as one, connected(port) as two:
            for client in (one, two):
                await client.send(get())
                assert (await client.answer()).status == 200
            async with connected(port) as three:
                assert await three.closed()
            assert gateway.reasons == ["overloaded"]
            await one.send(get())
            assert (await one.answer()).status == 200


async def test_H9_a_client_that_reads_nothing_is_cut_off() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.send_head(200, [], b"x", end=False)
        while True:
            await exchange.send(b"x" * 65536, end=False)

    async with serving(handler=endless, limits=Limits(idle_timeout=0.2)) as gateway:
        async with connected(gateway.ports["edge"]) as client:
            await client.send(get())
            await until(lambda: gateway.outcomes)
        assert gateway.open == 0


async def deny(exchange: Exchange) -> None:
    await exchange.send_head(403, [(b"content-length", b"2")], b"no", end=True)


async def test_H10_a_small_unread_body_is_drained_and_the_connection_kept() -> None:
    async with serving(handler=deny) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(head("Content-Length: 1000") + b"x" * 500)
        answer = await client.answer()
        assert (answer.status, answer.header(b"connection")) == (403, None)
        await client.send(SMUGGLED.ljust(500, b"x") + get("/next"))
        assert (await client.answer()).status == 403
        assert [trace.head.target for trace in gateway.traces] == [b"/", b"/next"]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(head("Content-Length: 1000000"), id="H10-large"),
        pytest.param(chunked(b"5\r\nhello\r\n"), id="H10-chunked"),
        pytest.param(head("Content-Length: 100", "Expect: 100-continue"), id="H10-H20-expect"),
    ],
)
async def test_an_unread_body_of_unknown_fate_ends_the_connection(raw: bytes) -> None:
    async with serving(handler=deny) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(raw)
        answer = await client.answer()
        assert (answer.status, answer.header(b"connection")) == (403, b"close")
        await client.send(SMUGGLED)
        assert await client.all() == b""
        assert len(gateway.traces) == 1


async def test_H10_an_early_answer_reaches_a_client_that_is_still_sending() -> None:
    async with serving(handler=deny) as gateway, connected(gateway.ports["edge"]) as client:
        client.writer.write(head("Content-Length: 800000") + b"x" * 800000)
        answer = await client.answer()
        assert (answer.status, answer.body) == (403, b"no")


async def test_H10_a_body_that_came_whole_keeps_the_connection() -> None:
    async with serving(handler=deny) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(chunked(b"5\r\nhello\r\n0\r\n\r\n") + get("/next"))
        assert (await client.answer()).header(b"connection") is None
        assert (await client.answer()).status == 403
        assert len(gateway.traces) == 2


async def test_H11_pipelined_requests_are_judged_each_on_its_own_and_in_order() -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        raw = b"".join(get(f"/{n}", f"Authorization: Bearer t{n}") for n in range(50))
        await client.send(raw + get("/..%2f") + get("/last"))
        statuses = [(await client.answer()).status for _ in range(52)]
        assert statuses == [200] * 50 + [400, 200]
        assert [dict(s.headers)[b"authorization"] for s in gateway.seen[:50]] == [b"Bearer t%d" % n for n in range(50)]
        assert len(gateway.traces) == 52


async def test_H11_a_pipelined_request_waits_until_the_answer_before_it_is_out() -> None:
    release = asyncio.Event()
    begun: list[bytes] = []

    async def slow(exchange: Exchange) -> None:
        begun.append(exchange.head.target)
        await release.wait()
        await exchange.send_head(200, [(b"content-length", b"0")], end=True)

    async with serving(handler=slow) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get("/1") + get("/2"))
        await until(lambda: begun)
        await client.send(get("/3"))
        assert begun == [b"/1"]
        release.set()
        assert [(await client.answer()).status for _ in range(3)] == [200] * 3
        assert begun == [b"/1", b"/2", b"/3"]


async def test_H11_a_flood_of_pipelined_requests_is_not_read_ahead() -> None:
    release = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await release.wait()
        await exchange.send_head(200, [(b"content-length", b"0")], end=True)

    async with serving(handler=slow) as gateway, connected(gateway.ports["edge"]) as client:
        raw = get("/x", "X-A: " + "a" * 1000)
        client.writer.write(raw * 20000)  # 20 MB
        await until(lambda: gateway.listeners["edge"].connections)
        (connection,) = gateway.listeners["edge"].connections
        await until(lambda: connection._read_paused and gateway.traces)
        assert len(connection._rest) < 1 << 20
        assert len(gateway.traces) == 1
        release.set()
        assert (await client.answer()).status == 200


async def test_H12_trailers_never_join_the_headers() -> None:
    heads: list[list[tuple[bytes, bytes]]] = []

    async def look(exchange: Exchange) -> None:
        while await exchange.read():
            pass
        heads.append(list(exchange.head.headers))
        await exchange.send_head(200, [(b"content-length", b"0")], end=True)

    async with serving(handler=look) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(chunked(b"3\r\nabc\r\n"))
        await client.send(b"0\r\nAuthorization: Bearer stolen\r\nX-User: admin\r\nHost: evil\r\n\r\n" + get("/next"))
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
        assert heads == [[(b"host", b"example.com"), (b"transfer-encoding", b"chunked")], [(b"host", b"example.com")]]


async def test_H20_100_continue_is_sent_on_the_first_read_and_not_before() -> None:
    read = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await read.wait()
        body = await exchange.read()
        await exchange.send_head(200, [(b"content-length", b"%d" % len(body))], body, end=True)

    async with serving(handler=late) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(head("Content-Length: 3", "Expect: 100-continue"))
        first = asyncio.ensure_future(client.answer())
        await until(lambda: gateway.traces)
        assert not first.done()
        read.set()
        assert (await first).status == 100
        await client.send(b"abc")
        assert (await client.answer()).body == b"abc"


async def test_H20_a_refusal_costs_no_upload() -> None:
    async with serving(handler=deny) as gateway:
        answer = await exchange_once(gateway.ports["edge"], head("Content-Length: 9", "Expect: 100-continue"))
        assert (answer.status, answer.header(b"connection")) == (403, b"close")  # and no 100 before it


async def test_H20_another_expectation_is_417() -> None:
    async with serving() as gateway:
        answer = await exchange_once(gateway.ports["edge"], head("Content-Length: 3", "Expect: 200-ok") + b"abc")
        assert (answer.status, answer.reason) == (417, "expectation_failed")
        assert gateway.seen == []


async def test_H20_http10_gets_no_100() -> None:
    async with serving() as gateway:
        raw = head("Content-Length: 3", "Expect: 100-continue", line="POST / HTTP/1.0") + b"abc"
        answer = await exchange_once(gateway.ports["edge"], raw)
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
        assert gateway.seen[0].body == b"abc"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n", id="H5-tls-on-plain"),
        pytest.param(b"\0\0\0\0\r\n\r\n", id="H5-nuls"),
        pytest.param(b"\r\n\r\n\r\n\r\n", id="H5-empty-lines"),
        pytest.param(b"hello\r\n\r\n", id="H5-one-word"),
    ],
)
async def test_what_is_no_http_gets_a_bare_400(raw: bytes) -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(raw + SMUGGLED)
        answer = await client.answer()
        assert (answer.status, answer.reason, answer.header(b"connection")) == (400, "bad_request", b"close")
        assert await client.all() == b""
        assert gateway.traces == []
