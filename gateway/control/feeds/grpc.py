"""Server streams of gRPC over a Unix socket: HTTP/2 by h2, nothing but what the Workload API needs.

Rule: one connection, a few streams; a message is handed on when it is whole, and never one over the limit.
Invariant: whatever the other side does ends in messages or in GrpcFailed, for every stream.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

_MAX_MESSAGE = 4 * 1024 * 1024  # bytes
_PREFIX = 5  # bytes before a message: compressed or not, and its length
_NO_MESSAGE = b"\0\0\0\0\0"  # the frame of an empty one
_TEXT = 200  # characters of a server's message that are told


class GrpcFailed(Exception):  # noqa: N818 - how a call ended
    """A call ended otherwise than by its caller."""

    def __init__(self, text: str, status: int | None = None) -> None:
        """`status`: gRPC's code; None where the connection failed."""
        super().__init__(text)
        self.status = status


class _Call:
    """One server stream."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[bytes | GrpcFailed] = asyncio.Queue()
        self.buffer = bytearray()
        self.fields: dict[bytes, bytes] = {}

    def take(self, data: bytes) -> None:
        """Raises GrpcFailed for what is no message here."""
        self.buffer += data
        while len(self.buffer) >= _PREFIX:
            length = int.from_bytes(self.buffer[1:_PREFIX], "big")
            if self.buffer[0] or length > _MAX_MESSAGE:
                raise GrpcFailed("a message is compressed or too long")
            if len(self.buffer) < _PREFIX + length:
                return
            self.items.put_nowait(bytes(self.buffer[_PREFIX : _PREFIX + length]))
            del self.buffer[: _PREFIX + length]

    def ended(self) -> GrpcFailed:
        status = self.fields.get(b"grpc-status", b"").decode("latin-1")
        text = unquote(self.fields.get(b"grpc-message", b"").decode("latin-1"))[:_TEXT]
        plain = "".join(character if character.isprintable() else "?" for character in text)
        if not status.isdecimal():
            return GrpcFailed("the stream ended without a status")
        return GrpcFailed(f"the stream ended with status {status}{': ' + plain if plain else ''}", int(status))


class GrpcConnection(asyncio.Protocol):
    """One connection. `await open_unix(path)` makes it; `close` it."""

    def __init__(self) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._calls: dict[int, _Call] = {}
        self._transport: asyncio.WriteTransport | None = None

    async def stream(self, path: str, metadata: Iterable[tuple[str, str]], first: float) -> AsyncIterator[bytes]:
        """Call `path` with an empty message; every message of the answer. Raises GrpcFailed at its end.

        `first`: seconds within which the first message comes.
        """
        if self._transport is None or self._transport.is_closing():
            raise GrpcFailed("the connection is closed")
        number, call = self._h2.get_next_available_stream_id(), _Call()
        self._calls[number] = call
        head = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
            ("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "gateway"), *metadata,
        ]  # fmt: skip
        self._h2.send_headers(number, head)
        self._h2.send_data(number, _NO_MESSAGE, end_stream=True)
        self._flush()
        late = GrpcFailed(f"no answer within {first:g} s")
        timer = asyncio.get_running_loop().call_later(first, call.items.put_nowait, late)
        try:
            while True:
                item = await call.items.get()
                timer.cancel()
                if isinstance(item, GrpcFailed):
                    raise item
                yield item
        finally:
            timer.cancel()

    def close(self) -> None:
        """End it; streams end with GrpcFailed."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own kinds know no base class
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
        except ProtocolError as error:
            self._fail(f"no HTTP/2 is spoken there ({type(error).__name__})")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection ended")

    def _take(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self._fail("the server ended the connection")
            return
        number: Any = getattr(event, "stream_id", None)
        call = self._calls.get(number)
        if call is None:
            return
        if isinstance(event, ResponseReceived | TrailersReceived):
            call.fields.update((bytes(name), bytes(value)) for name, value in event.headers)
            if isinstance(event, ResponseReceived) and not _is_grpc(call.fields):
                self._end(number, GrpcFailed("the answer is no gRPC"))
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, number)
            try:
                call.take(event.data)
            except GrpcFailed as failed:
                self._end(number, failed)
        elif isinstance(event, StreamEnded):
            self._end(number, call.ended())
        elif isinstance(event, StreamReset):
            self._end(number, GrpcFailed("the server broke the stream off"))

    def _end(self, number: int, failed: GrpcFailed) -> None:
        self._calls.pop(number).items.put_nowait(failed)

    def _fail(self, why: str) -> None:
        for number in tuple(self._calls):
            self._end(number, GrpcFailed(why))
        self.close()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _is_grpc(fields: dict[bytes, bytes]) -> bool:
    return fields.get(b":status") == b"200" and fields.get(b"content-type", b"").startswith(b"application/grpc")


async def open_unix(path: str, within: float) -> GrpcConnection:
    """A connection to the socket at `path`, `within` seconds. Raises OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(within):  # noqa: TID251 - no data path; 3.11's wait_for can lose a cancellation
        _, connection = await loop.create_unix_connection(GrpcConnection, path)
    return connection
