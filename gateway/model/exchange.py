"""One request and its answer, whichever driver carries it (ASGI, the HTTP/1.1 lane, HTTP/2).

The pipeline sees this and never ASGI itself. Reading the body sends `100 Continue` where the client waits for it,
so a refusal before the first read costs the client no upload (RFC 9110 section 10.1.1).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from gateway.model.answer import OwnFields, WrittenFields
from gateway.model.connection import Connection
from gateway.model.request import RawHeaders, RequestHead


class ClientGone(Exception):  # noqa: N818 - an event, not an error
    """The client closed its side before its answer was whole."""


_NOTHING: tuple[None, ...] = ()


class _Done:
    """Awaited, it goes on at once, for less than a coroutine: nothing of it is Python's to run."""

    __slots__ = ()

    __await__ = _NOTHING.__iter__


DONE: Awaitable[None] = _Done()  # type: ignore[assignment] # typeshed wants a generator, the language an iterator


class Exchange(Protocol):
    """What a driver offers the pipeline for one request."""

    @property
    def connection(self) -> Connection: ...

    @property
    def head(self) -> RequestHead: ...

    @property
    def started(self) -> bool:
        """True once a response head was handed to the client."""
        ...

    @property
    def at_hand(self) -> bool:
        """True where the whole of a body came already, unread: `read` gives all of it, at once. Costs nothing to ask.

        A driver may say False of any.
        """
        ...

    async def read(self) -> bytes:
        """The next piece of the request body, b"" at its end.

        Raises ClientGone, or Refused: AMBIGUOUS_FRAMING or BAD_REQUEST when the rest cannot be parsed, REQUEST_TIMEOUT
        when it does not come.
        Back pressure: the driver stops reading from the socket while nobody asks.
        """
        ...

    def hint(self, links: RawHeaders) -> None:
        """Send 103 Early Hints (RFC 8297) ahead of the answer, where the client and the driver know them."""
        ...

    def send_head(self, status: int, headers: RawHeaders, body: bytes = b"", *, end: bool) -> Awaitable[None]:
        """Send the final head and, in the same write, the first piece of the body. `end`: the answer is whole.

        Headers hold framing as the caller means it: content-length, or none for a chunked or bodyless answer.
        Waits while the client is slow. Raises ClientGone.
        """
        ...

    def send_written(self, status: int, front: WrittenFields, own: OwnFields, body: bytes) -> Awaitable[None]:
        """As `send_head` of a whole answer with the fields of `front` and `own`, all of which are written already."""
        ...

    async def send(self, data: bytes, *, end: bool) -> None:
        """Send another piece of the body. Waits while the client is slow. Raises ClientGone."""
        ...

    def abort(self) -> None:
        """Break the answer off so that the client cannot take it for whole."""
        ...

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client goes away; None takes it back."""
        ...


@runtime_checkable
class Trailing(Exchange, Protocol):
    """An exchange that can carry fields behind a body (RFC 9110 section 6.5)."""

    @property
    def trailers(self) -> Sequence[tuple[bytes, bytes]]:
        """Of the request, once `read` gave b"": names in lower case, bounded, well-formed, and believed by nobody."""
        ...

    @property
    def takes_trailers(self) -> bool:
        """True when the client said that it takes them (`TE: trailers`), and there is a place for them."""
        ...

    async def send_last(self, data: bytes, trailers: RawHeaders) -> None:
        """The last piece of a body without a length, and fields behind it. Raises ClientGone, ValueError."""
        ...


@runtime_checkable
class Upgradable(Exchange, Protocol):
    """An exchange that can leave HTTP: one whose head is an UpgradeHead."""

    async def switch(self, headers: RawHeaders) -> None:
        """Send 101 Switching Protocols (RFC 9110 section 15.2.2) with these fields. Raises ClientGone, ValueError.

        From here on `read` and `send` carry the bytes of the connection as they are; neither has an end but the
        connection's. `send` with `end` says a last word: what the client still sends is dropped unread.
        """
        ...

    def hang_up(self) -> None:
        """Close the connection as soon as what was sent is out."""
        ...
