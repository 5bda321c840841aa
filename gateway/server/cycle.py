"""One request and its answer, between a connection and an ASGI application.

Rule: ASGI's messages are made of the exchange's own reads and writes; nothing is framed here.
Invariant: what the application leaves open when it ends is broken off.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from starlette.types import Message, Scope

from gateway.app import EXTENSION
from gateway.model.exchange import DONE, ClientGone
from gateway.model.request import RawHeaders
from gateway.server.exchange import HttpExchange

if TYPE_CHECKING:
    from gateway.server.turns import Turns

_DISCONNECT: Message = {"type": "http.disconnect"}


class Cycle(HttpExchange):
    """The `Wire` that the application finds in its scope."""

    __slots__ = ("_headers", "_status", "_told", "turns")

    turns: "Turns"
    _status: int  # of an answer whose head was told of
    _headers: RawHeaders

    def start(self) -> None:
        """Let the connection's task have it."""
        self._told = False  # the application has the whole body: what can still come is a disconnect
        self.turns.begin(self)

    def scope(self) -> Scope:
        """What the application is told of it."""
        head = self.head
        raw_path, _, query = head.target.partition(b"?")
        path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
        return self.turns.scope_of(self.protocol) | {
            "http_version": head.version,
            "method": head.method,
            "path": path.decode("utf-8", "replace"),
            "raw_path": raw_path,
            "query_string": query,
            "headers": head.headers,
            "extensions": {EXTENSION: self},
        }

    def finish(self) -> None:
        """The application is done with it."""
        if not self.complete and not self.gone:
            self.abort()

    async def receive(self) -> Message:
        """The next piece of the body; Refused when the rest cannot be had (an extension: ASGI has no word for it)."""
        while self._told and not (self.gone or self.complete):
            await self._change()
        if self._told or (self.gone and self.fault is None):
            return _DISCONNECT
        try:
            body = await self.read()
        except ClientGone:
            return _DISCONNECT
        self._told = self._read_all
        return {"type": "http.request", "body": body, "more_body": not self._told}

    def send_message(self, message: Message) -> Awaitable[None]:
        """Take the head (kept until the first piece of the body goes out with it), a piece of the body or trailers."""
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], message["headers"]
            return DONE
        if self.started or message["type"] == "http.response.trailers" or message.get("more_body", False):
            return self._send_part(message)
        try:
            return self.send_head(self._status, self._headers, message.get("body", b""), end=True)
        except ClientGone:
            raise ConnectionResetError("the client is gone") from None

    async def _send_part(self, message: Message) -> None:
        """Of an answer that is more than one message behind its head."""
        data: bytes = message.get("body", b"")
        end = not message.get("more_body", False)
        try:
            if message["type"] == "http.response.trailers":
                await self.send_last(b"", message["headers"])
            elif self.started:
                await self.send(data, end=end)
            else:
                await self.send_head(self._status, self._headers, data, end=end)
        except ClientGone:
            raise ConnectionResetError("the client is gone") from None
