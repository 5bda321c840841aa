"""The Starlette application: one raw ASGI callable around the pipeline, complete under any ASGI server.

Rule: on the data path there is no middleware, no routing and no request object; Starlette keeps lifespan and the rest.
Invariant: what the pipeline is given never changes behind its back (a server may append trailers to its header list).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from typing import Protocol

from starlette.applications import Starlette
from starlette.types import Lifespan, Message, Receive, Scope, Send

from gateway.kernel.framing import judge
from gateway.kernel.patterns.blocks import unmapped
from gateway.model.answer import OwnFields, WrittenFields, passed
from gateway.model.connection import Connection, IPAddress
from gateway.model.exchange import ClientGone
from gateway.model.reason import Reason
from gateway.model.request import RawHeaders, RequestHead, UpgradeHead
from gateway.pipeline import handle
from gateway.snapshot import Snapshot

EXTENSION = "gateway"  # scope["extensions"][EXTENSION] is an UpgradableWire where our own protocol class serves


class Wire(Protocol):
    """What a server knows of a request beyond ASGI."""

    @property
    def connection(self) -> Connection: ...

    @property
    def head(self) -> RequestHead: ...

    def abort(self) -> None:
        """Break the answer off so that the client cannot take it for whole."""
        ...

    def hint(self, links: RawHeaders) -> None:
        """Send 103 Early Hints, or nothing."""
        ...

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client goes away; None takes it back."""
        ...


class UpgradableWire(Wire, Protocol):
    """One that can leave HTTP, and carry trailers: see Upgradable and Trailing of gateway.model.exchange."""

    @property
    def trailers(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def takes_trailers(self) -> bool: ...

    async def switch(self, headers: RawHeaders) -> None: ...

    def hang_up(self) -> None: ...


class GatewayApp(Starlette):
    """`current` is asked once a request: the snapshot that it began with is the one that it ends with."""

    def __init__(
        self,
        current: Callable[[], Snapshot],
        *,
        listener: str = "asgi",
        lifespan: "Lifespan[GatewayApp] | None" = None,
    ) -> None:
        """`listener`: whose settings hold where the server does not say on which listener a request came."""
        super().__init__(lifespan=lifespan)
        self.current = current
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Under our own server this never raises."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        extensions = scope.get("extensions")
        wire = extensions.get(EXTENSION) if extensions else None
        if wire is not None:
            await handle(WireExchange(wire, receive, send), self.current())
            return
        other = AnyServer(scope, receive, self._listener)
        try:
            await handle(AsgiExchange(other, other.receive, send), self.current())
        finally:
            other.close()
        if other.broken:
            raise ConnectionAbortedError("the answer is broken off")  # ASGI knows no other way to say so


class AsgiExchange:
    """The pipeline's `Exchange` over ASGI messages."""

    at_hand = False  # what came of a body is the server's to know

    __slots__ = ("_read_all", "_receive", "_send", "_wire", "abort", "connection", "head", "hint", "on_gone", "started")

    def __init__(self, wire: Wire, receive: Receive, send: Send) -> None:
        self.abort = wire.abort
        self.hint = wire.hint
        self.on_gone = wire.on_gone
        self._wire = wire
        self._receive = receive
        self._send = send
        self.connection = wire.connection
        self.head = wire.head
        self.started = False
        self._read_all = not self.head.has_body

    async def read(self) -> bytes:
        while not self._read_all:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._read_all = not message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            if piece:
                return piece
        return b""

    async def send_head(self, status: int, headers: RawHeaders, body: bytes = b"", *, end: bool) -> None:
        self.started = True
        try:
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": body, "more_body": not end})
        except OSError as gone:
            raise ClientGone from gone
        except ValueError:
            self.started = False  # the server judged the head and wrote nothing of it
            raise

    def send_written(self, status: int, front: WrittenFields, own: OwnFields, body: bytes) -> Awaitable[None]:
        return self.send_head(status, passed(front, own), body, end=True)

    async def send(self, data: bytes, *, end: bool) -> None:
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": not end})
        except OSError as gone:
            raise ClientGone from gone


class WireExchange(AsgiExchange):
    """One that our own server carries: it can leave HTTP, and has trailers.

    ASGI has frames for a WebSocket and no bytes: once switched, `http.request` and `http.response.body` carry what the
    connection carries.
    """

    __slots__ = ()

    _wire: UpgradableWire

    def hang_up(self) -> None:
        self._wire.hang_up()

    @property
    def trailers(self) -> Sequence[tuple[bytes, bytes]]:
        return self._wire.trailers

    @property
    def takes_trailers(self) -> bool:
        return self._wire.takes_trailers

    async def send_last(self, data: bytes, trailers: RawHeaders) -> None:
        await self.send(data, end=False)
        try:
            await self._send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})
        except OSError as gone:
            raise ClientGone from gone

    async def switch(self, headers: RawHeaders) -> None:
        await self._wire.switch(headers)
        self.started = True
        self._read_all = False


class AnyServer:
    """A `Wire` made of an ASGI scope alone, for servers that are not ours. Knows no TLS facts."""

    def __init__(self, scope: Scope, receive: Receive, listener: str) -> None:
        # copied before the first receive(): a server may append trailers to this very list
        headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        target: bytes = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        self.head = judge(scope["method"], target, scope["http_version"], headers).head
        if isinstance(self.head, UpgradeHead):
            self.head = replace(self.head, fault=Reason.UPGRADE_REFUSED)  # what it does with the bytes is its own
        if any(name == b"transfer-encoding" for name, _ in headers) and _merges_trailers(receive):
            self.head = replace(self.head, has_body=False, fault=Reason.AMBIGUOUS_FRAMING)
        peer, local = scope.get("client"), scope.get("server")
        self.connection = Connection(
            listener,
            plain_address(peer[0] if peer else ""),
            (peer[1] or 0) if peer else 0,
            plain_address(local[0] if local else ""),
            (local[1] or 0) if local else 0,
            None,
        )
        self.broken = False
        self._receive = receive
        self._callback: Callable[[], None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._read_all = not self.head.has_body

    async def receive(self) -> Message:
        """The next message; a disconnect calls back too."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone()
        elif not message.get("more_body", False):
            self._read_all = True
            self.on_gone(self._callback)
        return message

    def abort(self) -> None:
        self.broken = True

    def hint(self, links: RawHeaders) -> None:
        """None: what an application may send at once, ASGI makes it wait for."""

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """A watch reads on for the disconnect once the body is read: before that it would swallow the body."""
        self._callback = callback
        if callback is not None and self._read_all and self._watch is None:
            self._watch = asyncio.create_task(self._until_gone())

    def close(self) -> None:
        """The request is over."""
        if self._watch is not None:
            self._watch.cancel()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone()

    def _gone(self) -> None:
        if self._callback is not None:
            callback, self._callback = self._callback, None
            callback()


def _merges_trailers(receive: Receive) -> bool:
    """True under uvicorn's own httptools protocol.

    There the trailers of a chunked message that came in one piece stand among its headers before an application is
    asked, and nothing tells them apart any more.
    """
    return type(getattr(receive, "__self__", None)).__module__ == "uvicorn.protocols.http.httptools_impl"


@lru_cache(1024)  # one object an address, so that what is kept by address is found by identity
def plain_address(text: str) -> IPAddress:
    """One spelling for an address: IPv4 out of `::ffff:a.b.c.d`, no zone. What is none is 0.0.0.0, which nobody has."""
    try:
        return unmapped(ip_address(text.partition("%")[0]))
    except ValueError:
        return IPv4Address(0)
