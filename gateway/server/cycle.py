"""One request and its answer, between a connection and an ASGI application.

Rule: the answer's framing is ours: one Date, one length or chunks, no body where HTTP has none (RFC 9112 section 6.3).
Invariant: an answer that ended short of what its head says is never ended cleanly: the connection is broken off.
"""

import asyncio
import http
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from starlette.types import Message, Scope

from gateway.app import EXTENSION
from gateway.kernel.framing import Framing, names_token
from gateway.model.connection import Connection
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders

if TYPE_CHECKING:
    from gateway.server.protocol import HttpProtocol

HIGH_WATER = 65536  # bytes of a body that are kept while nobody asks for them
_ASGI = {"version": "3.0", "spec_version": "2.4"}
_DISCONNECT: Message = {"type": "http.disconnect"}
_OURS = frozenset((b"content-length", b"transfer-encoding", b"connection", b"date", b"keep-alive"))
STATUS_LINES = {status: b"HTTP/1.1 %d " % status for status in range(200, 600)} | {
    status.value: b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode()) for status in http.HTTPStatus
}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Cycle:
    """The request that a connection is answering. It is the `Wire` that the application finds in its scope."""

    __slots__ = (
        "_callback",
        "_chunked",
        "_headers",
        "_left",
        "_mute",
        "_read_all",
        "_status",
        "_waiter",
        "buffered",
        "complete",
        "connection",
        "expects",
        "fault",
        "gone",
        "head",
        "persistent",
        "pieces",
        "protocol",
        "reading",
        "started",
    )

    def __init__(self, protocol: "HttpProtocol", connection: Connection, framing: Framing) -> None:
        self.protocol = protocol
        self.connection = connection
        self.head = framing.head
        self.persistent = framing.persistent and not protocol.listener.draining
        self.pieces: list[bytes] = []  # of the body, not yet asked for
        self.buffered = 0  # their size
        self.reading = self.head.has_body  # more of the body is to come
        self.fault: Reason | None = None  # why the rest of the body cannot be had
        self.gone = False
        self.started = False
        self.complete = False
        self.expects = framing.expects and self.reading  # the client waits for 100 Continue
        self._read_all = False  # the application has the whole body: what can still come is a disconnect
        self._waiter: asyncio.Future[None] | None = None
        self._callback: Callable[[], None] | None = None
        self._status = 0
        self._headers: RawHeaders = []
        self._mute = False  # the answer has no body, whatever is sent
        self._chunked = False
        self._left: int | None = None  # bytes that the answer's length still promises

    def finish(self) -> None:
        """The application is done with it."""
        if not self.complete and not self.gone:
            self.abort()

    # What the connection tells

    def wake(self) -> None:
        """Something changed: a piece came, the body ended, failed, or the client went away."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, reason: Reason) -> None:
        """The rest of the body cannot be had."""
        self.fault = reason
        self.reading = False
        self.persistent = False
        self.wake()

    def lost(self) -> None:
        """The client is gone."""
        self.gone = True
        self.wake()
        if self._callback is not None:
            callback, self._callback = self._callback, None
            callback()

    # The Wire

    def abort(self) -> None:
        """Break the connection off."""
        self.protocol.transport.abort()

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back when the connection is lost before the answer is whole."""
        self._callback = callback
        if self.gone:
            self.lost()

    # ASGI

    def scope(self) -> Scope:
        """What the application is told of it."""
        head = self.head
        raw_path, _, query = head.target.partition(b"?")
        path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
        scope = self.protocol.scope.copy()  # which has every key already: nothing grows
        scope["http_version"] = head.version
        scope["method"] = head.method
        scope["path"] = path.decode("utf-8", "replace")
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        scope["headers"] = head.headers
        scope["extensions"] = {EXTENSION: self}
        return scope

    async def receive(self) -> Message:
        """The next piece of the body; Refused when the rest cannot be had (an extension: ASGI has no word for it)."""
        if self.expects:
            self.expects = False
            if not self.pieces and not self.gone:
                self.protocol.transport.write(_CONTINUE)
        while (self.reading or self._read_all) and not (self.pieces or self.gone or self.complete):
            if self.reading:
                self.protocol.await_body()
            self._waiter = self.protocol.loop.create_future()
            await self._waiter
        if self.fault is not None:
            raise Refused(self.fault)
        if self.gone or self.complete:
            return _DISCONNECT
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        self.buffered = 0
        self._read_all = not self.reading
        self.protocol.resume()
        return {"type": "http.request", "body": body, "more_body": self.reading}

    async def send(self, message: Message) -> None:
        """Take the head (kept until the first piece of the body, to go out with it) or a piece of the body."""
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], message["headers"]
            return
        if self.gone or self.complete:
            raise ConnectionResetError("the client is gone")
        data: bytes = message.get("body", b"")
        end = not message.get("more_body", False)
        out = self._piece(data, end) if self.started else self._begin(data, end)
        if out:
            self.protocol.transport.write(out)
        if end:
            if self._left:
                raise RuntimeError("the answer is shorter than its Content-Length")
            self.complete = True
            self.wake()
            self.protocol.answered(self)
        elif self.protocol.write_paused:
            await self.protocol.drained()
            if self.gone:
                raise ConnectionResetError("the client is gone")

    # Framing of the answer

    def _begin(self, data: bytes, end: bool) -> bytes:
        """The head, and with it the first piece."""
        status, method = self._status, self.head.method
        lines = [STATUS_LINES[status]]
        length: int | None = None
        dated = False
        for name, value in self._headers:
            if name in _OURS:
                if name == b"content-length":
                    length = int(value)
                    continue
                if name == b"date":
                    dated = True
                else:
                    self.persistent = self.persistent and not (name == b"connection" and names_token(value, b"close"))
                    continue
            lines.append(name + b": " + value)
        if not dated:
            lines.append(_date_line())
        self._mute = method == "HEAD" or status in (204, 304)
        if not self._mute:
            if length is None and end:
                length = len(data)
            self._left = length
            self._chunked = length is None and self.head.version == "1.1"
        if self.reading and end and not self.protocol.may_drain(self):
            self.persistent = False
        if length is not None and status != 204:
            lines.append(b"content-length: %d" % length)
        elif self._chunked:
            lines.append(b"transfer-encoding: chunked")
        elif not self._mute:
            self.persistent = False  # the end of the connection ends the body
        if not self.persistent:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        head = b"\r\n".join(lines)
        # The last guard against response splitting: as many line ends as lines, and nothing else that could be one.
        # One translate() finds all three bytes in a third of the time that three count() take.
        if len(head) - len(head.translate(None, b"\r\n\0")) != 2 * len(lines):
            raise ValueError("a response header holds a line end or NUL")
        self.started = True
        return head + self._piece(data, end)

    def _piece(self, data: bytes, end: bool) -> bytes:
        """A piece of the body as it goes on the wire."""
        if self._mute:
            return b""
        if self._chunked:
            if not data:
                return b"0\r\n\r\n" if end else b""
            return b"%x\r\n%b\r\n%b" % (len(data), data, b"0\r\n\r\n" if end else b"")
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise RuntimeError("the answer is longer than its Content-Length")
        return data


def shared_scope(client: tuple[str, int], server: tuple[str, int], *, tls: bool) -> dict[str, object]:
    """What the scopes of all requests of one connection are copies of."""
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "",
        "method": "",
        "scheme": "https" if tls else "http",
        "path": "",
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": client,
        "server": server,
        "extensions": {},
    }


def _date_line() -> bytes:
    """RFC 9110 section 6.6.1; made once a second."""
    global _date, _date_second
    now = int(time.time())
    if now != _date_second:
        _date_second, _date = now, b"date: %b" % formatdate(now, usegmt=True).encode()
    return _date


_date_second = 0
_date = b""
