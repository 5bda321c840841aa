"""One request and its answer, straight over a connection: the pipeline's `Exchange` in HTTP/1.1.

Rule: head and first piece of a body leave in one write; a body is read no faster than somebody asks for it.
Invariant: an answer that ended short of what its head says is never ended cleanly: the connection is broken off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.kernel.framing import Framing, names_token
from gateway.model.answer import OwnFields, PassedFields, WrittenFields, passed
from gateway.model.connection import Connection
from gateway.model.exchange import DONE, ClientGone
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestHead
from gateway.server.answer import Answer, early_hints, switching, usual, whole
from gateway.server.body import Tunnelled

if TYPE_CHECKING:
    from gateway.server.protocol import HttpProtocol

HIGH_WATER = 65536  # bytes of a body that are kept while nobody asks for them
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpExchange:
    """The request that a connection is answering; a driver's subclass says who answers it."""

    __slots__ = (
        "_answer",
        "_callback",
        "_read_all",
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
        "trailers",
    )

    def take(self, protocol: "HttpProtocol", connection: Connection, framing: Framing) -> None:
        """The request whose head came. In the place of `__init__`, which is called through C at twice the price."""
        self.protocol = protocol
        self.connection = connection
        self.head = head = framing.head
        self.persistent = framing.persistent and not protocol.listener.draining
        self.pieces: list[bytes] = []  # of the body, not yet asked for
        self.buffered = 0  # their size
        self.reading = head.has_body  # more of the body is to come
        self.fault: Reason | None = None  # why the rest of the body cannot be had
        self.gone = False
        self.started = False
        self.complete = False
        self.trailers: Sequence[tuple[bytes, bytes]] = ()  # of a chunked body that was read to its end
        self.expects = framing.expects and head.has_body  # the client waits for 100 Continue
        self._read_all = not head.has_body  # the end of the body was handed on
        self._waiter: asyncio.Future[None] | None = None
        self._callback: Callable[[], None] | None = None
        self._answer: Answer | None = None

    def start(self) -> None:
        """Have the request answered. What of its body came with the head is there already."""
        raise NotImplementedError

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

    # The pipeline's Exchange

    @property
    def at_hand(self) -> bool:
        """See gateway.model.exchange."""
        return not (self.reading or self._read_all or self.gone or self.complete or self.fault is not None)

    async def read(self) -> bytes:
        """See gateway.model.exchange."""
        if self._read_all:
            return b""
        if self.expects:
            self.expects = False
            if not self.pieces and not self.gone:
                self.protocol.transport.write(_CONTINUE)
        while self.reading and not (self.pieces or self.gone or self.complete):
            self.protocol.await_body()
            await self._change()
        if self.fault is not None:
            raise Refused(self.fault)
        if self.gone or self.complete:
            raise ClientGone
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        self.buffered = 0
        self._read_all = not self.reading
        self.protocol.resume()
        return body

    def hint(self, links: RawHeaders) -> None:
        """See gateway.model.exchange. HTTP/1.0 knows none; who opens a WebSocket waits for one answer."""
        if type(self.head) is RequestHead and self.head.version == "1.1" and not (self.started or self.gone):
            self.protocol.transport.write(early_hints(links))

    def send_head(self, status: int, headers: RawHeaders, body: bytes = b"", *, end: bool) -> Awaitable[None]:
        """See gateway.model.exchange. Raises ValueError, with nothing sent, for what cannot be framed."""
        if self.gone or self.complete:
            raise ClientGone
        protocol = self.protocol
        if end:
            if self.reading and not protocol.may_drain(self):
                self.persistent = False
            if type(headers) is PassedFields and self.persistent:
                out = usual(self.head, status, headers, body)
                if out is not None:
                    self.started = self.complete = True
                    protocol.transport.write(out)
                    if self._waiter is not None:
                        self.wake()
                    protocol.answered(self)
                    return DONE
        answer = self._answer = Answer(persistent=self.persistent)
        out = answer.begin(self.head, status, headers, body, end=end)
        self.persistent = answer.persistent
        self.started = True
        protocol.transport.write(out)
        if end:
            self._end(answer)
        elif protocol.write_paused:
            return self._drained()
        return DONE

    def send_written(self, status: int, front: WrittenFields, own: OwnFields, body: bytes) -> Awaitable[None]:
        """See gateway.model.exchange."""
        if self.reading or not self.persistent or self.gone or self.complete:
            return self.send_head(status, passed(front, own), body, end=True)
        out = whole(self.head, status, front, own, body)
        if out is None:
            return self.send_head(status, passed(front, own), body, end=True)
        self.started = self.complete = True
        protocol = self.protocol
        protocol.transport.write(out)
        if self._waiter is not None:
            self.wake()
        protocol.answered(self)
        return DONE

    async def send(self, data: bytes, *, end: bool) -> None:
        """See gateway.model.exchange. Raises ValueError for more than the head promised."""
        answer = self._answer
        if self.gone or self.complete or answer is None or self.protocol.transport.is_closing():
            raise ClientGone  # a transport that failed says so before the loop comes to tell us
        out = answer.piece(data, end=end)
        if out:
            self.protocol.transport.write(out)
        if end:
            self._end(answer)
        elif self.protocol.write_paused:
            await self._drained()

    @property
    def takes_trailers(self) -> bool:
        """See gateway.model.exchange.Trailing."""
        head = self.head
        return head.version == "1.1" and any(
            name == b"te" and names_token(value, b"trailers") for name, value in head.headers
        )

    async def send_last(self, data: bytes, trailers: RawHeaders) -> None:
        """See gateway.model.exchange.Trailing."""
        answer = self._answer
        if self.gone or self.complete or answer is None:
            raise ClientGone
        self.protocol.transport.write(answer.last(data, trailers))
        self._end(answer)

    async def switch(self, headers: RawHeaders) -> None:
        """See gateway.model.exchange.Upgradable."""
        if self.gone or self.complete:
            raise ClientGone
        self.protocol.transport.write(switching(headers))
        self.started = True
        self._answer = Answer(persistent=False)  # without a head it frames nothing
        self.reading, self._read_all = True, False
        self.protocol.read_on(Tunnelled())

    def hang_up(self) -> None:
        """See gateway.model.exchange.Upgradable."""
        self.complete = True
        self.wake()
        self.protocol.transport.close()

    def abort(self) -> None:
        """Break the connection off."""
        self.protocol.transport.abort()

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back when the connection is lost before the answer is whole."""
        self._callback = callback
        if self.gone:
            self.lost()

    def _end(self, answer: Answer) -> None:
        if answer.short:
            raise ValueError("the answer is shorter than its Content-Length")
        self.complete = True
        self.wake()
        self.protocol.answered(self)

    async def _drained(self) -> None:
        await self.protocol.drained()
        if self.gone:
            raise ClientGone

    async def _change(self) -> None:
        self._waiter = self.protocol.loop.create_future()
        await self._waiter


class Work(Protocol):
    """A request at work: what a drain that takes too long may cut off."""

    def cancel(self) -> object:
        """Raise CancelledError where it waits."""
        ...


class Driver(Protocol):
    """Who answers the requests of a connection."""

    def exchange(self, protocol: "HttpProtocol", connection: Connection, framing: Framing) -> HttpExchange:
        """The request whose head came, not yet started."""
        ...

    def close(self) -> None:
        """The connection is lost: no more requests come of it; one that is at work goes on to its end."""
        ...
