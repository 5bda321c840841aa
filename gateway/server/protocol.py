"""HTTP/1.1 on one connection, given to uvicorn as `http=`.

Rule: one message at a time. A head is cut out of the bytes before it is parsed, a body is read by its own framing, and
what lies behind them waits unread until the answer is out (RFC 9112 section 9.3.2).
Invariant: after a fault, an upgrade or an answer that closes, no byte of this connection is parsed again.

It is a class of its own and no subclass of uvicorn's HttpToolsProtocol: that one merges trailers into the header list,
parses an Upgrade's body as the next request and parses ahead, and nothing of it would be left.
"""

import asyncio

from gateway.kernel.framing import Framing
from gateway.model.connection import Connection
from gateway.model.reason import Reason
from gateway.server.answer import bare
from gateway.server.body import BadFraming, BodyReader, ChunkedBody, LengthBody, Tunnelled
from gateway.server.deadline import Deadline
from gateway.server.exchange import HIGH_WATER, Driver, HttpExchange
from gateway.server.facts import read_connection
from gateway.server.head import HeadParser, fault_of_part, salvage
from gateway.server.listener import Listener
from gateway.server.outgoing import Outgoing
from gateway.server.pace import Pace
from gateway.server.sections import LARGEST_HEAD, KnownHead

_DRAINABLE = 65536  # bytes of an unwanted body that are read for the sake of the connection
_LINGER_BYTES = 1 << 20  # bytes that are discarded after an answer that closes, so that the client can read it
_LINGER = 1.0  # seconds of that
_LAST_CHANCE = 1.0  # seconds that a client may still send its next request when the gateway drains


class HttpProtocol(Outgoing):
    """One client connection of a listener."""

    __slots__ = (
        "_connection",
        "_deaf",
        "_discarded",
        "_driver",
        "_exchange",
        "_head_begun",
        "_heads",
        "_pace",
        "_parser",
        "_read_paused",
        "_reader",
        "_rest",
        "client",
        "deadline",
        "expired",
        "server",
    )

    def __init__(self, driver: Driver, listener: Listener, peer: tuple[str, int], local: tuple[str, int]) -> None:
        """`peer` and `local` are known from accept(): a client that is gone again has no peer name any more."""
        super().__init__(listener)
        self._driver = driver
        self.client, self.server = peer, local
        self._connection: Connection  # from connection_made on
        self.deadline = Deadline(self.loop)  # of the handshake too, which the acceptor arms
        self._parser = HeadParser(listener.sections)
        self._heads = listener.sections.heads
        self._exchange: HttpExchange | None = None  # the request that is being answered
        self._reader: BodyReader | None = None  # the body that is being read, its request's answer whole or not
        self._rest = b""  # bytes behind the message that is being read, or the begin of a head
        self._head_begun = True  # its deadline runs: for the first head from the end of the handshake
        self._deaf = False  # nothing that comes is parsed any more
        self._discarded = 0
        self._read_paused = False
        self._pace: Pace | None = None  # of a body that had to be waited for

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # streams only
        self.transport = transport
        listener, session = self.listener, transport.get_extra_info("ssl_object")
        self._connection = read_connection(listener.name, self.client, self.server, session)
        listener.opened(self, session)
        self._deaf = self.expired = listener.has_expired(self._connection.tls)
        if self.expired:  # a full handshake would end here too
            transport.abort()
            return
        self.deadline.arm(_LAST_CHANCE if listener.draining else listener.limits.header_timeout, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.closed(self)
        self.deadline.close()
        self.stop_watch()
        self._parser.close()
        self._deaf = True
        self._rest = b""
        self.resume_writing()
        self._driver.close()
        if self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            exchange.lost()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self._close()
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        if self._reader is None and self._exchange is None:
            # what is larger is not kept, and not hashed to be looked for
            known = self._heads.get(data) if len(data) <= LARGEST_HEAD else None
            if known is not None and known.limits is self.listener.limits:
                self._begin(known).start()  # all of it came before, and nothing is behind it
                return
        self._consume(data)

    # What comes in

    def _consume(self, data: bytes) -> None:
        """Take what `data` holds, but no more than one head: the next request has a turn of the loop to itself."""
        begun = False
        while data and not self._deaf:
            if self._reader is not None:
                data = self._take_body(self._reader, data)
            elif not begun and self._exchange is None:
                begun = True
                data = self._take_head(data)
            else:
                self._rest = data
                if len(data) > HIGH_WATER:
                    self._pause()
                if self._exchange is None:  # it was answered at once
                    self.loop.call_soon(self._go_on)
                return

    def _go_on(self) -> None:
        """Take what has waited behind a request that is answered."""
        if self._exchange is None and self._rest:
            data, self._rest = self._rest, b""
            self._consume(data)

    def _take_head(self, data: bytes) -> bytes:
        """Begin the request whose head stands in `data`; returns what lies behind it."""
        if data.startswith(b"\r\n"):
            data = data[2:]  # RFC 9112 section 2.2: one empty line before a request line
        limits = self.listener.limits
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or end > limits.header_bytes:
            self._take_part(data[: limits.header_bytes], over=len(data) > limits.header_bytes)
            return b""
        raw = data[:end]
        framing: Framing | None = self._heads.get(raw) if len(raw) < len(data) else None  # else it was looked for
        if type(framing) is not KnownHead or framing.limits is not limits:
            framing = self._parser.parse(raw, limits.headers)
            if framing is None:
                self._refuse_bare(Reason.BAD_REQUEST)
                return b""
            if framing.head.again is not None:
                self.listener.sections.keep(raw, framing, limits)
        exchange = self._begin(framing)
        data = data[end:]
        if data and self._reader is not None:
            data = self._take_body(self._reader, data)
        exchange.start()
        return data

    def _take_part(self, data: bytes, *, over: bool) -> None:
        """The begin of a head: wait for more of it, or refuse it."""
        fault = fault_of_part(data, over=over)
        if fault is not None:
            self._fault(fault, data)
            return
        self._rest = data
        if data and not self._head_begun:
            self._head_begun = True
            self.deadline.arm(self.listener.limits.header_timeout, self._late)

    def _begin(self, framing: Framing) -> HttpExchange:
        """The request is the one that is answered now; `start` it when all is known that came of it."""
        head = framing.head
        self._exchange = exchange = self._driver.exchange(self, self._connection, framing)
        if head.fault is not None:
            exchange.persistent = False
            exchange.reading = False
            self._deaf = True
        elif head.has_body:
            self._reader = ChunkedBody() if head.content_length is None else LengthBody(head.content_length)
            self._pace = None
        return exchange

    def _take_body(self, reader: BodyReader, data: bytes) -> bytes:
        exchange = self._exchange
        pieces: list[bytes] = [] if exchange is None else exchange.pieces
        try:
            used = reader.feed(data, pieces)
        except BadFraming:
            self._body_failed(Reason.AMBIGUOUS_FRAMING)
            return b""
        if reader.done:
            self._reader = None
            if exchange is not None and type(reader) is ChunkedBody:
                exchange.trailers = reader.trailers
        if exchange is None:
            self._discarded += used
            if reader.done:
                self._await_request()
            elif self._discarded > _DRAINABLE:
                self._close()
            return data[used:]
        if self._pace is not None:
            self.deadline.disarm()
            self._pace.came(used, self.loop.time())
        exchange.reading = not reader.done
        exchange.buffered += used
        if exchange.buffered > HIGH_WATER:
            self._pause()
        exchange.wake()
        return data[used:]

    def _body_failed(self, reason: Reason) -> None:
        self._deaf = True
        self._reader = None
        if self._exchange is None:
            self._close()
        else:
            self._exchange.fail(reason)

    def _fault(self, reason: Reason, data: bytes) -> None:
        """Refuse a head that did not come whole."""
        framing = salvage(data, reason)
        if framing is None:
            self._refuse_bare(reason)
        else:
            self._rest = b""
            self._begin(framing).start()

    def _refuse_bare(self, reason: Reason) -> None:
        """Refuse what is no HTTP: there is no request that could be recorded or told more."""
        self._rest = b""
        self._deaf = True
        self.transport.write(bare(reason))
        self._finish()

    def _late(self) -> None:
        """No request came, or not the whole of its head; the begin of one does not disarm it."""
        if self._exchange is None and self._rest:
            self._fault(Reason.REQUEST_TIMEOUT, self._rest)
        elif self._exchange is None:
            self._close()

    def await_body(self) -> None:
        """The application waits for a piece of the body; how long a tunnel may be idle is the backend's to say."""
        if type(self._reader) is Tunnelled:
            return
        limits = self.listener.limits
        pace = self._pace = self._pace or Pace(limits)
        pace.awaited(self.loop.time())
        self.deadline.arm(min(limits.idle_timeout, pace.left), self._body_late)

    def _body_late(self) -> None:
        self._body_failed(Reason.REQUEST_TIMEOUT)

    # What goes out, and the end

    def may_drain(self, exchange: HttpExchange) -> bool:
        """Whether the rest of an unwanted body is read to keep the connection: a small one that is on its way."""
        reader = self._reader
        return isinstance(reader, LengthBody) and reader.left <= _DRAINABLE and not exchange.expects

    def answered(self, exchange: HttpExchange) -> None:
        """The answer is whole: go on with the next request, or close."""
        self._exchange = None
        if exchange.persistent and self._reader is None:
            self._await_request()
            return
        self._discarded = 0
        if exchange.persistent and self.may_drain(exchange):
            self.deadline.arm(_LINGER, self._close)
            self.resume()
        else:
            self._finish()

    def read_on(self, reader: BodyReader) -> None:
        """Read what follows the head of the request at work by this; what came already waits for it."""
        self._reader, self._pace = reader, None
        self.resume()
        data, self._rest = self._rest, b""
        self._consume(data)

    def shutdown(self) -> None:
        """The gateway drains: end after this request, or after a last chance to send the one that is on its way."""
        if self._exchange is not None:
            self._exchange.persistent = False
        elif self._reader is None and not self._rest and not self._deaf:
            self.deadline.arm(_LAST_CHANCE, self._late)

    def _await_request(self) -> None:
        self._head_begun = False
        listener = self.listener
        self.deadline.arm(_LAST_CHANCE if listener.draining else listener.limits.idle_timeout, self._late)
        if self._read_paused and len(self._rest) <= HIGH_WATER:
            self.resume()
        if self._rest:
            self.loop.call_soon(self._go_on)

    def _finish(self) -> None:
        """Close. Where more may be on its way, read on for a while: a reset could take the answer from the client."""
        if self._reader is None and not self._deaf:
            self._close()
            return
        self._deaf = True
        self._reader = None
        self.resume()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.deadline.arm(_LINGER, self._close)

    def _close(self) -> None:
        self._deaf = True
        self.close_when_taken()

    def _pause(self) -> None:
        if not self._read_paused and not self.transport.is_closing():
            self._read_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on from the socket."""
        if self._read_paused:
            self._read_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()
