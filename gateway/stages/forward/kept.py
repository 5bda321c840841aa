"""A request whose body is kept while it is read, to be sent once more.

Rule: only small bodies with a length are kept; who wraps an exchange has judged that.
Invariant: the client is read once, whoever reads again gets the same bytes.
"""

from collections.abc import Callable, Sequence

from gateway.model.answer import OwnFields, WrittenFields
from gateway.model.connection import Connection
from gateway.model.exchange import Exchange, Trailing
from gateway.model.request import RawHeaders, RequestHead

MAX_KEPT = 65536  # bytes of a body


def small(head: RequestHead) -> bool:
    """True when there is no body, or one that may be kept."""
    return not head.has_body or (head.content_length is not None and head.content_length <= MAX_KEPT)


class KeptBody:
    """An `Exchange` around another."""

    at_hand = False  # it is told of the end of a body by reading on

    __slots__ = ("_at", "_exchange", "_on_whole", "connection", "head", "pieces", "whole")

    def __init__(self, exchange: Exchange, on_whole: Callable[[], None] | None = None) -> None:
        """`on_whole` is called when the body was read to its end."""
        self.connection: Connection = exchange.connection
        self.head: RequestHead = exchange.head
        self.pieces: list[bytes] = []
        self.whole = not exchange.head.has_body
        self._exchange = exchange
        self._on_whole = on_whole
        self._at = 0

    @property
    def started(self) -> bool:
        return self._exchange.started

    @property
    def trailers(self) -> Sequence[tuple[bytes, bytes]]:
        """See gateway.model.exchange.Trailing; a body with a length has none."""
        return ()

    @property
    def takes_trailers(self) -> bool:
        """See gateway.model.exchange.Trailing."""
        return isinstance(self._exchange, Trailing) and self._exchange.takes_trailers

    async def send_last(self, data: bytes, trailers: RawHeaders) -> None:
        """See gateway.model.exchange.Trailing."""
        if isinstance(self._exchange, Trailing):
            await self._exchange.send_last(data, trailers)

    def rewind(self) -> None:
        """Read from the beginning again."""
        self._at = 0

    async def read(self) -> bytes:
        if self._at < len(self.pieces):
            self._at += 1
            return self.pieces[self._at - 1]
        if self.whole:
            return b""
        piece = await self._exchange.read()
        if piece:
            self.pieces.append(piece)
            self._at += 1
        else:
            self.whole = True
            if self._on_whole is not None:
                self._on_whole()
        return piece

    def hint(self, links: RawHeaders) -> None:
        self._exchange.hint(links)

    async def send_head(self, status: int, headers: RawHeaders, body: bytes = b"", *, end: bool) -> None:
        await self._exchange.send_head(status, headers, body, end=end)

    async def send_written(self, status: int, front: WrittenFields, own: OwnFields, body: bytes) -> None:
        await self._exchange.send_written(status, front, own, body)

    async def send(self, data: bytes, *, end: bool) -> None:
        await self._exchange.send(data, end=end)

    def abort(self) -> None:
        self._exchange.abort()

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        self._exchange.on_gone(callback)
