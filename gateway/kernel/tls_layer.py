"""TLS over a plain connection of the loop: a protocol to the transport below, a transport to the protocol above.

Rule: bytes go through OpenSSL's memory buffers in the callback that brought them, with no exception where a record is
whole; what carries no TLS any more is never handed up.
Invariant: the protocol above is told of a connection only when the handshake is done, of its end exactly once, and of
an end in order (`eof_received`) only by a close_notify (RFC 8446 section 6.1): a bare FIN is a connection lost.

The loops' own layers read each record twice, the second time into an exception, copy a context for each write and keep
a buffer of 256 KiB a connection.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

_PIECE = 16384  # bytes that a record holds
_GULP = 65536  # bytes given at once to the memory buffer of what comes, which never shrinks; its last record is cut
_REST_OF_A_RECORD = _PIECE + 1  # nothing is left of a record that was read by so many
_HIGH_WATER = 256 * 1024  # bytes that wait for the peer before the protocol above is told to pause
_CLOSE_WITHIN = 2.0  # seconds that a peer has to answer our close_notify


class TlsLayer(asyncio.Protocol, asyncio.Transport):
    """One TLS connection. Await `shaken` before it is used; `abort` it where that fails or is not waited for."""

    __slots__ = (
        "_closing",
        "_deliver",
        "_encrypt",
        "_failure",
        "_fill",
        "_incoming",
        "_inner",
        "_loop",
        "_outgoing",
        "_read",
        "_tcp",
        "_timeout",
        "_timer",
        "_upper",
        "session",
        "shaken",
    )

    def __init__(
        self,
        upper: asyncio.Protocol,
        context: ssl.SSLContext,
        handshake_timeout: float | None,
        *,
        server_side: bool = False,
        server_name: str | None = None,
    ) -> None:
        """On the running loop. `handshake_timeout` in seconds, None where the caller sees to it that `late` is called.

        `server_name`: whom a client expects.
        """
        self._loop = asyncio.get_running_loop()
        self._upper: asyncio.Protocol | None = upper
        self._timeout = handshake_timeout
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_side, server_name)
        inner: Any = self.session._sslobj  # type: ignore[attr-defined] # noqa: SLF001 - what SSLObject's methods call
        self._inner = inner
        self._fill = self._incoming.write
        self._read: Callable[[int], bytes] = inner.read
        self._encrypt: Callable[[bytes | memoryview], int] = inner.write
        self._tcp: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._deliver: Callable[[bytes], None] | None = None  # while data may come
        self._closing = False
        self._failure: ssl.SSLError | None = None
        self.shaken: asyncio.Future[None] = self._loop.create_future()  # fails with an OSError, ssl's among them

    # The protocol of the transport below

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # streams only
        self._tcp = transport
        if self._closing:  # it was broken off before
            self._tcp.abort()
            return
        self._tcp.set_write_buffer_limits(_HIGH_WATER)
        if self._timeout is not None:
            self._timer = self._loop.call_later(self._timeout, self.late)
        if not self.session.server_side:
            self._shake()

    def data_received(self, data: bytes) -> None:
        size, deliver = len(data), self._deliver
        if deliver is None or size > _PIECE:
            self._take(data)
            return
        self._fill(data)
        try:
            got = self._read(size)
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as failure:
            self._fail(failure)
            return
        if got and len(got) < size and not self._incoming.pending:
            deliver(got)  # as nearly always: whole records, and nothing behind them
        else:
            self._hand_up([got])

    def eof_received(self) -> None:
        if not self.shaken.done():
            self.shaken.set_exception(ConnectionResetError("the peer closed the connection in the handshake"))

    def connection_lost(self, exc: Exception | None) -> None:
        upper, self._upper = self._upper, None
        self._deliver = None
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.shaken.done():
            self.shaken.set_exception(exc or ConnectionResetError("the connection was lost in the handshake"))
        elif upper is not None and not self.shaken.cancelled() and self.shaken.exception() is None:
            upper.connection_lost(self._failure or exc)

    def pause_writing(self) -> None:
        if self._upper is not None:
            self._upper.pause_writing()

    def resume_writing(self) -> None:
        if self._upper is not None:
            self._upper.resume_writing()

    # The transport of the protocol above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send. What is written to a connection that closes is dropped, as the loop's transports do."""
        if self._closing or not data:
            return
        try:
            if len(data) > _PIECE:
                self._tcp.writelines(self._records(memoryview(data)))
                # it looks whether the writer has to pause, which asyncio's `writelines` of Python 3.13.0 does not
                self._tcp.set_write_buffer_limits(_HIGH_WATER)
                return
            self._encrypt(data)  # type: ignore[arg-type] # any buffer
        except ssl.SSLError as failure:
            self._fail(failure)
            return
        self._tcp.write(self._outgoing.read())

    def close(self) -> None:
        """Say close_notify, wait for the peer's for two seconds, and close."""
        if self._closing:
            return
        if not self.shaken.done() or self._tcp.is_closing():
            self.abort()
            return
        self._closing = True
        self._deliver = None
        answered = False
        try:
            self._inner.shutdown()  # `unwrap` wants a socket's
            answered = True
        except ssl.SSLError:  # theirs has not come: it wants to read, or finds data before it
            pass
        self._flush()
        if answered:
            self._tcp.close()
            if not self._tcp.get_write_buffer_size():
                return  # nothing is waited for
        else:
            self._tcp.resume_reading()
        self._timer = self._loop.call_later(_CLOSE_WITHIN, self._tcp.abort)

    def abort(self) -> None:
        """Break it off, without a word."""
        self._closing = True
        self._deliver = None
        if not self.shaken.done():
            self.shaken.cancel()
        if hasattr(self, "_tcp"):  # else it never was connected
            self._tcp.abort()

    def late(self) -> None:
        """The handshake has had its time."""
        if not self.shaken.done():
            self.shaken.set_exception(TimeoutError("the handshake took too long"))
        self.abort()

    def is_closing(self) -> bool:
        return self._closing or self._tcp.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> Any:
        if name == "ssl_object":
            return self.session
        return self._tcp.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._tcp.pause_reading()

    def resume_reading(self) -> None:
        self._tcp.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._tcp.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        return False  # a close_notify ends both directions for most peers

    # Within

    def _shake(self) -> None:
        """A step of the handshake. Who fails it is told nothing: the connection ends."""
        try:
            self.session.do_handshake()  # of the session's own class: the check of a backend's identity is part of it
        except ssl.SSLWantReadError:
            self._flush()
            return
        except OSError as failure:  # ssl.SSLError is one
            if not self.shaken.done():
                self.shaken.set_exception(failure)
            self.abort()
            return
        self._flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._upper is not None and not self.shaken.done():
            self.shaken.set_result(None)
            self._deliver = self._upper.data_received
            self._upper.connection_made(self)
            if self._incoming.pending:
                self._hand_up([])

    def _take(self, data: bytes) -> None:
        """Bytes of a handshake, of a large body, or behind our close_notify."""
        if not self.shaken.done():
            self._fill(data)
            self._shake()
            return
        if len(data) <= _GULP:
            self._fill(data)
            self._hand_up([])
            return
        view, pieces, more = memoryview(data), list[bytes](), True
        for at in range(0, len(data), _GULP):
            self._fill(view[at : at + _GULP])
            more = more and self._read_on(pieces)
        self._hand_up(pieces, more=more)

    def _hand_up(self, pieces: list[bytes], *, more: bool = True) -> None:
        """Hand up `pieces` and what else is whole by now; b"" among them is the end. Not `more`: nothing follows."""
        if pieces and not pieces[-1]:
            more = False
        more = more and self._read_on(pieces)
        data = b"".join(pieces)
        if data and self._deliver is not None:
            self._deliver(data)
        if more:
            return
        if self._failure is not None:
            self._tcp.abort()
        elif self._closing:
            self._tcp.close()
        else:
            if self._upper is not None:
                self._upper.eof_received()
            self.close()

    def _read_on(self, pieces: list[bytes]) -> bool:
        """Read what is whole into `pieces`. False when nothing follows: a close_notify came, or a `_failure`."""
        try:
            while self._incoming.pending or self.session.pending():
                got = self._read(_REST_OF_A_RECORD)
                if not got:
                    return False
                pieces.append(got)
        except ssl.SSLWantReadError:
            self._flush()  # what was read may be OpenSSL's own to answer
        except ssl.SSLZeroReturnError:  # in place of b"" where we have said it too
            return False
        except ssl.SSLError as failure:
            self._failure = failure
            return False
        return True

    def _records(self, data: memoryview) -> list[bytes]:
        """Each taken out of the memory buffer, which never shrinks, as soon as it is there."""
        records = []
        for at in range(0, len(data), _PIECE):
            self._encrypt(data[at : at + _PIECE])
            records.append(self._outgoing.read())
        return records

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._tcp.write(self._outgoing.read())

    def _fail(self, failure: ssl.SSLError) -> None:
        """What came or goes is no TLS of this session."""
        self._failure = failure
        self.abort()
