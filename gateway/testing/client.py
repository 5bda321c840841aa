"""A client that sends what it is told: the target as it is written, no header of its own but Host and Connection.

Rule: one connection, one request; what a polite client would normalise away stays.
Invariant: a failure is one of OSError, ssl.SSLError, TimeoutError, or EOFError for an answer that is not whole.
"""

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httptools

from gateway.testing.wait import BOUND


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, its body whole; header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, None when absent."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    @property
    def reason(self) -> str | None:
        """The `reason` of a problem document (contract section 5), None when it is none."""
        if self.header("content-type") != "application/problem+json":
            return None
        found = self.json().get("reason")
        return found if isinstance(found, str) else None


class _Collector:
    """The callbacks of httptools' parser."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


async def send(
    port: int,
    method: str,
    target: str,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    authority: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    seconds: float = BOUND,
) -> Answer:
    """Send one request and read its answer; `authority` (default HOST:PORT) is the Host field and the name for TLS."""
    asked = authority or f"{host}:{port}"
    fields = [("Host", asked), ("Connection", "close"), *headers]
    if body:
        fields.append(("Content-Length", str(len(body))))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"

    name = asked.rpartition(":")[0].strip("[]") if tls else None
    async with asyncio.timeout(seconds):  # noqa: TID251 - no data path; Python 3.11's wait_for can swallow a cancellation
        reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
        try:
            writer.write(head.encode("latin-1") + body)
            return await _read(reader, method)
        finally:
            writer.transport.abort()  # the answer is whole: nothing is waited for


async def _read(reader: asyncio.StreamReader, method: str) -> Answer:
    collected = _Collector()
    parser = httptools.HttpResponseParser(collected)
    head = await _head(reader)
    parser.feed_data(head)
    status = parser.get_status_code()
    if method != "HEAD":
        while not collected.complete:
            data = await reader.read(65536)
            if not data:
                break
            parser.feed_data(data)
        if not collected.complete and any(
            key in ("content-length", "transfer-encoding") for key, _ in collected.headers
        ):
            raise EOFError("the answer broke off")
    return Answer(status, tuple(collected.headers), bytes(collected.body))


async def _head(reader: asyncio.StreamReader) -> bytes:
    """The response head. Raises EOFError when the peer closed instead."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        raise EOFError("the connection was closed without an answer") from cut
