"""Answers on the wire: one framing, no body where HTTP has none, and never a clean end of what is not whole."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from gateway.model.exchange import ClientGone, Exchange
from gateway.model.request import RawHeaders
from gateway.testing.wait import until
from tests.serving import Client, connected, exchange_once, get, serving

pytestmark = pytest.mark.usefixtures("driver")

Handler = Callable[[Exchange], Awaitable[None]]


def answer_with(status: int, headers: RawHeaders, *pieces: bytes) -> Handler:
    """An answer in pieces: the first goes out with the head."""

    async def handler(exchange: Exchange) -> None:
        first, *rest = pieces or (b"",)
        await exchange.send_head(status, headers, first, end=not rest)
        for at, piece in enumerate(rest):
            await exchange.send(piece, end=at == len(rest) - 1)

    return handler


HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("handler", "request_", "length", "coding", "connection", "body"),
    [
        pytest.param(answer_with(200, [(b"content-length", b"2")], b"ok"), get(), b"2", None, None, b"ok", id="length"),
        pytest.param(answer_with(200, [], b"ok"), get(), b"2", None, None, b"ok", id="whole-without-length"),
        pytest.param(answer_with(200, []), get(), b"0", None, None, b"", id="empty"),
        pytest.param(answer_with(200, [], b"a", b"", b"b", b""), get(), None, b"chunked", None, b"ab", id="chunked"),
        pytest.param(answer_with(200, [], b"a", b"b"), OLD, None, None, b"close", b"ab", id="http10-until-close"),
        pytest.param(answer_with(200, [], b"ab"), OLD, b"2", None, b"close", b"ab", id="http10-length"),
        pytest.param(answer_with(204, [(b"content-length", b"0")]), get(), None, None, None, b"", id="H25-204"),
        pytest.param(answer_with(204, [], b"x"), get(), None, None, None, b"", id="H25-204-with-body"),
        pytest.param(answer_with(304, [(b"content-length", b"9")]), get(), b"9", None, None, b"", id="H25-304"),
        pytest.param(answer_with(200, [(b"content-length", b"9")]), HEAD, b"9", None, None, b"", id="H25-head"),
        pytest.param(answer_with(200, [], b"x", b"y"), HEAD, None, None, None, b"", id="H25-head-with-body"),
        pytest.param(
            answer_with(200, [(b"transfer-encoding", b"gzip"), (b"connection", b"x-a, Close")], b"a", b"b"),
            get(), None, b"chunked", b"close", b"ab", id="framing-is-ours",
        ),
    ],
)  # fmt: skip
async def test_an_answer_is_framed_once(
    handler: Handler,
    request_: bytes,
    length: bytes | None,
    coding: bytes | None,
    connection: bytes | None,
    body: bytes,
) -> None:
    async with serving(handler=handler) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(request_)
        answer = await client.answer(bodyless=request_ is HEAD)
        assert answer.header(b"content-length") == length
        assert answer.header(b"transfer-encoding") == coding
        assert answer.header(b"connection") == connection
        assert answer.body == body
        if connection is None:  # nothing is left over: the next request is answered too
            await client.send(request_)
            assert (await client.answer(bodyless=request_ is HEAD)).body == body
        else:
            assert await client.all() == b""


async def test_there_is_one_date_and_no_server() -> None:
    async with serving(handler=answer_with(200, [])) as gateway:
        answer = await exchange_once(gateway.ports["edge"], get())
        assert answer.header(b"date")
        assert answer.header(b"server") is None
    given = [(b"date", b"Tue, 15 Nov 1994 08:12:31 GMT"), (b"server", b"backend")]
    async with serving(handler=answer_with(200, given)) as gateway:
        answer = await exchange_once(gateway.ports["edge"], get())
        assert answer.header(b"date") == given[0][1]
        assert answer.header(b"server") == b"backend"


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x", b"a\nb", b"a\rb", b"a\0b"])
async def test_H18_a_header_that_would_split_the_answer_is_a_500(value: bytes) -> None:
    async with serving(handler=answer_with(200, [(b"x-a", value)])) as gateway:
        answer = await exchange_once(gateway.ports["edge"], get())
        assert (answer.status, answer.reason) == (500, "internal")
        assert answer.header(b"set-cookie") is None


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(answer_with(200, [(b"content-length", b"5")], b"abc", b""), id="shorter-than-its-length"),
        pytest.param(answer_with(200, [(b"content-length", b"2")], b"ab", b"c"), id="longer-than-its-length"),
    ],
)
async def test_an_answer_of_another_length_is_broken_off(handler: Handler) -> None:
    async with serving(handler=handler) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        with contextlib.suppress(ConnectionResetError, asyncio.IncompleteReadError):
            assert len((await client.answer()).body) == 2  # what was promised, and then the end
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError, BrokenPipeError)):
            await _again(client)


async def _again(client: Client) -> None:
    await client.send(get())
    await client.answer()


async def test_a_chunked_answer_that_is_aborted_has_no_end() -> None:
    async def broken(exchange: Exchange) -> None:
        await exchange.send_head(200, [], b"half", end=False)
        exchange.abort()

    async with serving(handler=broken) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.answer()


async def test_the_head_goes_out_with_the_first_piece_in_one_write() -> None:
    async with serving(handler=answer_with(200, [], b"body")) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        assert (await client.reader.read(65536)).endswith(b"\r\n\r\nbody")


async def test_a_client_that_goes_is_told_of_once_and_sending_to_it_fails() -> None:
    told: list[int] = []
    failed = asyncio.Event()

    async def stream(exchange: Exchange) -> None:
        gone = asyncio.Event()

        def tell() -> None:
            told.append(1)
            gone.set()

        exchange.on_gone(tell)
        await exchange.send_head(200, [], b"x", end=False)
        await gone.wait()
        late: list[int] = []
        exchange.on_gone(lambda: late.append(1))
        assert late == [1]  # who asks too late is told at once
        with pytest.raises(ClientGone):
            await exchange.send(b"y", end=True)
        failed.set()

    async with serving(handler=stream) as gateway:
        async with connected(gateway.ports["edge"]) as client:
            await client.send(get())
            assert await client.reader.readuntil(b"x\r\n")
        await asyncio.wait_for(failed.wait(), 5)
        assert told == [1]


async def test_reading_the_body_of_a_client_that_went_fails() -> None:
    failed = asyncio.Event()

    async def read(exchange: Exchange) -> None:
        assert await exchange.read() == b"half"
        with pytest.raises(ClientGone):
            await exchange.read()
        failed.set()

    async with serving(handler=read) as gateway:
        async with connected(gateway.ports["edge"]) as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
            await until(lambda: gateway.traces)
            await until(lambda: gateway.listeners["edge"].connections)
        await asyncio.wait_for(failed.wait(), 5)


async def test_full_duplex_an_answer_may_begin_before_the_body_ends() -> None:
    async def echo(exchange: Exchange) -> None:
        await exchange.send_head(200, [], end=False)
        while piece := await exchange.read():
            await exchange.send(piece, end=False)
        await exchange.send(b"", end=True)

    async with serving(handler=echo) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        for piece in (b"one", b"two"):
            await client.send(b"3\r\n" + piece + b"\r\n")
            assert await client.reader.readexactly(8) == b"3\r\n" + piece + b"\r\n"
        await client.send(b"0\r\n\r\n")
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"
        await client.send(get())  # the connection goes on
        assert await client.reader.readuntil(b"\r\n\r\n")


async def hinting(exchange: Exchange) -> None:
    exchange.hint([(b"link", b"</a.css>; rel=preload")])
    await exchange.send_head(200, [(b"content-length", b"2")], b"ok", end=True)
    exchange.hint([(b"link", b"</late>")])


async def test_early_hints_go_out_ahead_of_the_answer() -> None:
    async with serving(handler=hinting) as gateway, connected(gateway.ports["edge"]) as client:
        for _ in range(2):
            await client.send(get())
            early = await client.answer()
            assert (early.status, early.headers) == (103, [(b"link", b"</a.css>; rel=preload")])
            assert (await client.answer()).body == b"ok"


async def test_http_1_0_knows_no_early_hints() -> None:
    async with serving(handler=hinting) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(b"GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")
        assert (await client.all()).startswith(b"HTTP/1.1 200")


async def test_H18_a_hint_that_would_split_the_answer_is_a_500() -> None:
    async def splitting(exchange: Exchange) -> None:
        exchange.hint([(b"link", b"a\r\nx: y")])

    async with serving(handler=splitting) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        assert (await client.answer()).status == 500
