"""The application under servers that are not ours: uvicorn with either parser, or none at all."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from ipaddress import ip_address

import pytest
import uvicorn
from starlette.types import Message, Scope

from gateway.app import GatewayApp, plain_address
from gateway.kernel.patterns.paths import compile_normaliser
from gateway.model.exchange import ClientGone, Exchange
from gateway.model.reason import Reason
from gateway.stages.accept import ListenerSettings
from gateway.testing import serve as testing
from gateway.testing.wait import until
from tests.serving import Client, Gateway, connected, get

Handler = Callable[[Exchange], Awaitable[None]]


def application(handler: Handler | None = None) -> tuple[Gateway, GatewayApp]:
    gateway = Gateway(handler)
    gateway.accept_listeners["asgi"] = ListenerSettings(compile_normaliser(), None, None, None)
    return gateway, GatewayApp(gateway.current)


@contextlib.asynccontextmanager
async def under_uvicorn(app: GatewayApp) -> AsyncGenerator[Client]:
    async with testing.serving(lambda _: app) as url, connected(int(url.rpartition(":")[2])) as client:
        yield client


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """uvicorn's parser."""
    name = str(request.param)
    original = uvicorn.Config.__init__

    def with_parser(self: uvicorn.Config, *args: object, **values: object) -> None:
        original(self, *args, **{**values, "http": name})  # type: ignore[arg-type] # as it came

    monkeypatch.setattr(uvicorn.Config, "__init__", with_parser)
    return name


CHUNKED = b"POST /x?y=z HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_request_and_its_answer_pass(parser: str) -> None:
    gateway, app = application()
    async with under_uvicorn(app) as client:
        await client.send(b"POST /x?y=z HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc")
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        (seen,) = gateway.seen
        assert (seen.method, seen.target, seen.body, seen.tls) == ("POST", b"/x?y=z", b"abc", None)
        connection = gateway.traces[0].connection
        assert (connection.listener, connection.peer_ip) == ("asgi", ip_address("127.0.0.1"))


async def test_H12_trailers_never_join_the_headers_under_another_server(parser: str) -> None:
    heads: list[list[bytes]] = []

    async def look(exchange: Exchange) -> None:
        while await exchange.read():
            pass
        heads.append([name for name, _ in exchange.head.headers])
        await exchange.send_head(200, [(b"content-length", b"0")], end=True)

    _, app = application(look)
    for cut in (0, 5):  # in one piece, and behind the beginning of the body
        async with under_uvicorn(app) as client:
            body = b"3\r\nabc\r\n0\r\nAuthorization: Bearer stolen\r\n\r\n"
            await client.send(CHUNKED + body[:cut])
            await client.send(body[cut:])
            if parser == "httptools":  # which has merged them before we are asked: such bodies are refused there
                assert (await client.answer()).reason == "ambiguous_framing"
            else:
                assert (await client.answer()).status == 200
    assert heads == ([] if parser == "httptools" else [[b"host", b"transfer-encoding"]] * 2)


async def test_H8_H1_length_and_chunks_are_refused_whatever_parser_let_them_through(parser: str) -> None:
    gateway, app = application()
    async with under_uvicorn(app) as client:
        await client.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n") + b"0\r\n\r\n")
        assert (await client.reader.readline()).split()[1] == b"400"
        assert gateway.seen == []


async def test_H6_two_hosts_are_refused_under_another_server() -> None:
    gateway, app = application()
    async with under_uvicorn(app) as client:
        await client.send(get("/", "Host: evil.example"))
        assert (await client.answer()).status == 400
        assert gateway.reason is Reason.BAD_REQUEST
        assert gateway.seen == []


async def test_P1_the_raw_target_is_what_is_judged() -> None:
    gateway, app = application()
    async with under_uvicorn(app) as client:
        await client.send(get("/a/%2e%2e/b%2Fc"))
        assert (await client.answer()).status == 400
        assert gateway.traces[0].head.target == b"/a/%2e%2e/b%2Fc"


async def test_an_aborted_answer_is_not_ended_cleanly(parser: str) -> None:
    async def broken(exchange: Exchange) -> None:
        await exchange.send_head(200, [], b"half", end=False)
        exchange.abort()

    _, app = application(broken)
    async with under_uvicorn(app) as client:
        await client.send(get())
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.answer()


async def test_a_client_that_goes_is_told_of() -> None:
    gone = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        assert await exchange.read() == b""
        exchange.on_gone(gone.set)
        await exchange.send_head(200, [], b"x", end=False)
        await gone.wait()

    gateway, app = application(wait)
    async with under_uvicorn(app) as client:
        await client.send(get())
        await client.reader.readuntil(b"x\r\n")
        client.close()
        await asyncio.wait_for(gone.wait(), 5)
        await until(lambda: gateway.outcomes)


def scope(**values: object) -> Scope:
    return {
        "type": "http", "method": "POST", "http_version": "1.1", "path": "/a b", "query_string": b"",
        "headers": [(b"Host", b"a"), (b"content-length", b"4")], "client": None, "server": None, **values,
    }  # fmt: skip


async def call(app: GatewayApp, what: Scope, *messages: Message) -> list[Message]:
    """Play a server that gives these messages, then nothing more."""
    given, sent = list(messages), list[Message]()

    async def receive() -> Message:
        if not given:
            await asyncio.Event().wait()
        return given.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await asyncio.wait_for(app(what, receive, send), 5)
    return sent


async def test_a_scope_with_the_least_that_asgi_asks_for_is_enough() -> None:
    gateway, app = application()
    body: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"cd"},
    ]
    start, end = await call(app, scope(path="/a"), *body)
    assert (start["status"], end["body"], end["more_body"]) == (200, b"ok", False)
    assert gateway.seen[0].body == b"abcd"
    assert gateway.traces[0].connection.peer_ip == ip_address("0.0.0.0")  # nobody's: no rule over addresses matches it


async def test_a_disconnect_in_the_body_is_the_client_going() -> None:
    told: list[str] = []

    async def read(exchange: Exchange) -> None:
        exchange.on_gone(lambda: told.append("gone"))
        try:
            await exchange.read()
        except ClientGone:
            told.append("raised")
            raise

    _, app = application(read)
    assert await call(app, scope(path="/a"), {"type": "http.disconnect"}) == []
    assert told == ["gone", "raised"]


async def test_a_server_that_lost_the_client_is_the_client_going() -> None:
    gateway, app = application()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"abcd"}

    async def send(message: Message) -> None:
        raise OSError

    await app(scope(path="/a"), receive, send)
    (outcome,) = gateway.outcomes
    assert outcome.reason is Reason.CLIENT_GONE


async def test_websockets_are_refused() -> None:
    _, app = application()
    what: Scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "subprotocols": []}
    (message,) = await call(app, what, {"type": "websocket.connect"})
    assert message["type"] == "websocket.close"


async def test_H27_under_another_server_nobody_leaves_http() -> None:
    gateway, app = application()
    asks = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}
    asks |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "host": "example.com"}
    headers = [(name.encode(), value.encode()) for name, value in asks.items()]
    start, _ = await call(app, scope(path="/a", headers=headers), {"type": "http.request", "body": b""})
    assert start["status"] == 400
    assert gateway.reason is Reason.UPGRADE_REFUSED


async def test_the_lifespan_is_starlettes() -> None:
    ran: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: GatewayApp) -> AsyncGenerator[None]:
        ran.append("up")
        yield
        ran.append("down")

    app = GatewayApp(Gateway().current, lifespan=lifespan)
    sent = await call(
        app, {"type": "lifespan", "state": {}}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
    )
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert ran == ["up", "down"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("/run/socket", "0.0.0.0"),
        ("", "0.0.0.0"),
    ],
)
def test_an_address_has_one_spelling(text: str, address: str) -> None:
    assert plain_address(text) == ip_address(address)
