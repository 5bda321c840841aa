"""A real server on loopback around a hand-made snapshot: real sockets, real TLS, the real `accept`; the rest records.

What the application saw stands in `seen`, what was refused in `refused`: a test can tell refused from not parsed.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.app import GatewayApp
from gateway.kernel.patterns.blocks import InBlocks
from gateway.kernel.patterns.paths import compile_normaliser
from gateway.model.connection import TlsFacts
from gateway.model.exchange import ClientGone, Exchange
from gateway.model.limit import LimitStatus
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestContext
from gateway.model.route import Route
from gateway.model.trace import Trace
from gateway.server.acceptor import listen
from gateway.server.listener import Expired, Listener, never_expires
from gateway.server.server import DriverName, Server
from gateway.server.settings import CertificateFiles, Limits, Redirect, TlsSettings
from gateway.server.tls import Contexts
from gateway.snapshot import Snapshot
from gateway.stages.accept import Accept, Covering, ListenerSettings
from gateway.testing.ca import Authority, Files
from gateway.testing.wait import BOUND

Handler = Callable[[Exchange], Awaitable[None]]
default_driver: DriverName = "lane"  # the fixture `driver` of conftest.py changes it


@dataclass
class Seen:
    """One request as the application saw it."""

    method: str
    target: bytes
    headers: RawHeaders
    body: bytes
    tls: TlsFacts | None


@dataclass
class Gateway:
    """A snapshot that records, and the server around it."""

    handler: Handler | None = None  # answers in place of the recorder
    seen: list[Seen] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    handshakes: list[tuple[str, str, str]] = field(default_factory=list)  # listener, reason, detail
    strangers: list[tuple[str | None, bytes]] = field(default_factory=list)  # SNI and certificate of those refused
    open: int = 0
    resumptions: int = 0
    accept_listeners: dict[str, ListenerSettings] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    listeners: dict[str, Listener] = field(default_factory=dict)
    server: Server | None = None
    digest: str = "0" * 64

    # Observer

    def connections(self, listener: str, change: int) -> None:
        self.open += change

    def resumed(self, listener: str) -> None:
        self.resumptions += 1

    def handshake(
        self, listener: str, peer: str, reason: str, detail: str, sni: str | None = None, claimed: bytes = b""
    ) -> None:
        assert peer in ("127.0.0.1", "203.0.113.9")  # the latter: told by a proxy
        if reason:
            self.strangers.append((sni, claimed))
        self.handshakes.append((listener, reason, detail))

    @property
    def reasons(self) -> list[str]:
        """Why handshakes failed, in order."""
        return [reason for _, reason, _ in self.handshakes if reason]

    @property
    def reason(self) -> Reason:
        """The one refusal."""
        (refused,) = self.refused
        return refused.reason

    # Snapshot

    def current(self) -> Snapshot:
        accept = Accept(self.accept_listeners, {}, "gateway-test")
        stages = _Stages(self)
        return Snapshot(
            self.digest, accept, stages.route, stages, stages.authenticate, stages.posture, stages, stages, stages,
            stages.forward,
        )  # fmt: skip


class _Stages:
    """The stages that are not under test: everything is allowed."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def route(self, ctx: RequestContext) -> Route:
        return Route("all", 0, True, None, "")

    async def by_address(self, ctx: RequestContext, route: Route, trace: Trace) -> list[LimitStatus]:
        return []

    async def failed_credential(self, ctx: RequestContext, route: Route, trace: Trace) -> None: ...

    async def by_caller(
        self, ctx: RequestContext, route: Route, principal: Principal, trace: Trace
    ) -> list[LimitStatus]:
        return []

    async def authenticate(self, ctx: RequestContext, route: Route) -> Principal:
        return Principal(None, None, ctx.client_ip)

    async def posture(self, ctx: RequestContext, route: Route, principal: Principal) -> Posture | None:
        return None

    def __call__(self, ctx: RequestContext, route: Route, principal: Principal, posture: Posture | None) -> Permit:
        return Permit(ctx, route, principal, None, None, (), (), None)

    def preflight(self, ctx: RequestContext, route: Route) -> Permit:
        raise Refused(Reason.CORS_REFUSED)

    def own(self, ctx: RequestContext, route: Route) -> Permit:
        raise Refused(Reason.NO_ROUTE)

    def begin(self, exchange: Exchange) -> Trace:
        trace = Trace(exchange.connection, exchange.head, request_id="r-1", time=0.0, began=0.0)
        self._gateway.traces.append(trace)
        return trace

    async def decision(self, trace: Trace) -> None: ...

    def refusal(self, trace: Trace, refused: Refused) -> None:
        self._gateway.refused.append(refused)

    def outcome(self, trace: Trace, outcome: Outcome) -> None:
        self._gateway.outcomes.append(outcome)

    def headers(self, trace: Trace) -> RawHeaders:
        return [(b"x-request-id", trace.request_id.encode())]

    async def refuse(self, exchange: Exchange, trace: Trace, refused: Refused) -> Outcome:
        status, body = refused.reason.status, json.dumps({"reason": refused.reason.code}).encode()
        headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
        await exchange.send_head(status, headers, body, end=True)
        return Outcome(status, None, None, 0, len(body), refused.reason)

    async def forward(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        if self._gateway.handler is not None:
            await self._gateway.handler(exchange)
            return Outcome(200, None, None, 0, 0)
        body = b""
        while piece := await exchange.read():
            body += piece
        head = exchange.head
        self._gateway.seen.append(Seen(head.method, head.target, list(head.headers), body, exchange.connection.tls))
        await exchange.send_head(200, [(b"content-length", b"2")], b"ok", end=True)
        return Outcome(200, "test", None, len(body), 2)


@dataclass
class Spec:
    """One listener to open."""

    name: str = "edge"
    tls: TlsSettings | None = None
    redirect: int | None = None
    covering: Covering | None = None
    proxies: InBlocks | None = None
    expired: Expired = never_expires


@contextlib.asynccontextmanager
async def serving(
    *specs: Spec,
    handler: Handler | None = None,
    limits: Limits | None = None,
    drain_seconds: float = 5.0,
    driver: DriverName | None = None,
) -> AsyncGenerator[Gateway]:
    """Serve in this loop; leaving it drains."""
    gateway = Gateway(handler)
    bound = []
    for spec in specs or (Spec(),):
        contexts = Contexts(spec.tls) if spec.tls is not None else None
        redirect = Redirect(spec.redirect) if spec.redirect is not None else None
        listener = Listener(
            spec.name,
            limits or Limits(),
            gateway,
            contexts=contexts,
            redirect=redirect,
            proxies=spec.proxies,
            expired=spec.expired,
        )
        gateway.listeners[spec.name] = listener
        gateway.accept_listeners[spec.name] = ListenerSettings(compile_normaliser(), None, spec.covering, None)
        sock = listen("127.0.0.1", 0)
        gateway.ports[spec.name] = sock.getsockname()[1]
        bound.append((listener, sock))
    gateway.server = server = Server(
        GatewayApp(gateway.current), bound, drain_seconds=drain_seconds, driver=driver or default_driver
    )
    task = asyncio.create_task(server.serve())
    try:
        while not server.accepting:
            await asyncio.sleep(0)
            assert not task.done(), task
        yield gateway
    finally:
        server.stop()
        await task


@dataclass
class Client:
    """A raw client connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def all(self, seconds: float = BOUND) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(seconds):  # noqa: TID251 - a test's bound
            return await self.reader.read()

    async def answer(self, *, bodyless: bool = False, seconds: float = BOUND) -> "Answer":
        """One answer, by its own framing. Raises asyncio.IncompleteReadError when the server closes first."""
        async with asyncio.timeout(seconds):  # noqa: TID251 - a test's bound
            raw = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = raw[:-4].split(b"\r\n")
            headers = [(n.lower(), v.strip()) for n, _, v in (f.partition(b":") for f in fields)]
            answer = Answer(int(line.split(b" ")[1]), headers, b"")
            if bodyless or answer.status in (204, 304) or answer.status < 200:
                return answer
            if answer.header(b"transfer-encoding") == b"chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    answer.body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            elif (length := answer.header(b"content-length")) is not None:
                answer.body = await self.reader.readexactly(int(length))
            else:
                answer.body = await self.reader.read()
            return answer

    async def closed(self, seconds: float = BOUND) -> bool:
        """True when the server closes without another byte."""
        try:
            return await self.all(seconds) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


@dataclass
class Answer:
    """An answer as it came."""

    status: int
    headers: RawHeaders
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        values = [value for field_name, value in self.headers if field_name == name]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def reason(self) -> str:
        return str(json.loads(self.body)["reason"])


@contextlib.asynccontextmanager
async def connected(
    port: int, tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> AsyncGenerator[Client]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=(server_name or "localhost") if tls else None
    )
    client = Client(reader, writer)
    try:
        yield client
    finally:
        writer.transport.abort()


async def exchange_once(port: int, request: bytes, *, bodyless: bool = False) -> Answer:
    """One request on a connection of its own."""
    async with connected(port) as client:
        await client.send(request)
        return await client.answer(bodyless=bodyless)


def certificate(files: Files, *names: str) -> CertificateFiles:
    return CertificateFiles(files.certificate, files.key, names)


def roots(*authorities: Authority) -> tuple[bytes, ...]:
    return tuple(authority.der for authority in authorities)


def get(path: str = "/", *fields: str, host: str = "example.com") -> bytes:
    """A small request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


def settings(files: Sequence[CertificateFiles], **values: object) -> TlsSettings:
    return TlsSettings(tuple(files), **values)  # type: ignore[arg-type] # the tests' shorthand


async def gone(exchange: Exchange) -> None:
    """Answers without end until the client goes."""
    await exchange.send_head(200, [], b"x", end=False)
    with contextlib.suppress(ClientGone):
        while True:
            await exchange.send(b"x" * 65536, end=False)
