"""A scripted backend: records the bytes that reached it, answers what it is told, well-formed or hostile.

Rule: heads are cut at the first empty line and split with a naive eye, so that what was sent is seen as it was sent.
Invariant: every byte that came in over a connection is in `Upstream.bytes_in`, whatever the script did with it.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Self, TypeAlias

from cryptography import x509

Script: TypeAlias = "Callable[[Call], Awaitable[None]]"
Header: TypeAlias = tuple[bytes, bytes]


class Upstream:
    """A server on loopback, HTTP/1.1 over TLS or plain TCP; `async with Upstream(script, tls=…) as upstream`.

    With a `tls` context that asks for client certificates it is an mTLS backend: `call.spiffe_id` is who called.
    """

    def __init__(
        self,
        script: "Script | None" = None,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.script: Script = script or answer(body=b"ok")
        self.calls: list[Call] = []
        self.bytes_in: list[bytearray] = []  # for each connection, in the order in which they were accepted
        self.closed: set[int] = set()  # connections that have ended, by their place in bytes_in
        self._tls = tls
        self._host = host
        self._port = port  # 0: any, chosen at the first start
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens; stays the same over `stop` and `start`."""
        return self._port

    @property
    def url(self) -> str:
        """Its endpoint as routes.yaml writes it."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def connections(self) -> int:
        """Connections accepted so far, handshakes done."""
        return len(self.bytes_in)

    async def start(self) -> None:
        """Listen, on the port that it had before if it had one.

        Raises OSError when the port is taken, RuntimeError when it listens already: a listener that is forgotten keeps
        uvloop from ever closing its loop.
        """
        if self._server is not None:
            raise RuntimeError("this upstream listens already")
        server = await asyncio.start_server(self._accept, self._host, self._port, ssl=self._tls)
        self._port = server.sockets[0].getsockname()[1]
        self._server = server

    async def stop(self) -> None:
        """Close the listener and break off every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # it came while we stopped
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # a task that is cancelled before it began closes nothing, and an open connection keeps uvloop from ever closing
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.bytes_in)
        self.bytes_in.append(bytearray())
        wire = _Wire(reader, self.bytes_in[number])
        spiffe_id = _spiffe_id(writer)
        try:
            while not writer.is_closing():
                call = Call(number, spiffe_id, await wire.until(b"\r\n\r\n"), wire, writer)
                self.calls.append(call)
                await self.script(call)
                if not writer.is_closing():
                    await call.body()  # what the script left unread is not the next request
        except (EOFError, OSError, ssl.SSLError):
            pass
        finally:
            self.closed.add(number)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()


class Call:
    """One request as it came, and the connection to answer it on."""

    def __init__(
        self, connection: int, spiffe_id: str | None, head: bytes, wire: "_Wire", writer: asyncio.StreamWriter
    ) -> None:
        self.connection = connection  # its place in Upstream.bytes_in
        self.spiffe_id = spiffe_id  # the first URI of the peer's certificate; None without one
        self.head = head  # up to and with the empty line
        self.writer = writer
        line, *fields = head[:-4].split(b"\r\n")
        self.method, self.target, self.version = line.split(b" ", 2)
        self.headers: tuple[Header, ...] = tuple(_field(field) for field in fields)
        self.trailers: tuple[Header, ...] = ()
        self._wire = wire
        self._body: bytes | None = None

    def values(self, name: str) -> list[bytes]:
        """Every value of a header, whatever its case."""
        wanted = name.lower().encode()
        return [value for field, value in self.headers if field.lower() == wanted]

    def value(self, name: str) -> str | None:
        """The header's one value as text, None when absent. Raises AssertionError when there are several."""
        values = self.values(name)
        assert len(values) < 2, f"{name} came {len(values)} times"  # noqa: S101 - a test's expectation
        return values[0].decode("latin-1") if values else None

    async def body(self) -> bytes:
        """The whole body, chunks joined; trailers land in `trailers`. Raises EOFError when the peer broke off."""
        if self._body is None:
            if self.value("transfer-encoding"):
                self._body = await self._chunked()
            else:
                self._body = await self._wire.exactly(int(self.value("content-length") or 0))
        return self._body

    async def read(self, size: int) -> bytes:
        """Exactly so many raw bytes after the head: for scripts that watch a body arrive."""
        return await self._wire.exactly(size)

    async def send(self, *chunks: bytes) -> None:
        """Write bytes as they are, waiting for the peer to take them."""
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()

    def close(self) -> None:
        """End the connection properly: close_notify, FIN."""
        self.writer.close()

    def abort(self) -> None:
        """Break the connection off without a goodbye."""
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Return when the peer has closed the connection."""
        with contextlib.suppress(EOFError, OSError, ssl.SSLError):
            while True:
                await self._wire.exactly(1)

    async def _chunked(self) -> bytes:
        body = bytearray()
        while size := int((await self._wire.until(b"\r\n")).split(b";")[0], 16):
            body += (await self._wire.exactly(size + 2))[:-2]
        trailers = []
        while (line := await self._wire.until(b"\r\n")) != b"\r\n":
            trailers.append(_field(line[:-2]))
        self.trailers = tuple(trailers)
        return bytes(body)


class _Wire:
    """A reader that keeps a copy of all that it read."""

    def __init__(self, reader: asyncio.StreamReader, log: bytearray) -> None:
        self._reader = reader
        self._log = log
        self._buffer = bytearray()

    async def until(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            await self._more()
        return self._take(end + len(mark))

    async def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _more(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            raise EOFError
        self._log += data
        self._buffer += data


def head(status: int = 200, headers: Sequence[Header] = (), reason: bytes = b"") -> bytes:
    """A response head, nothing added to the given fields."""
    fields = b"".join(b"%b: %b\r\n" % field for field in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, fields)


def answer(status: int = 200, body: bytes = b"", headers: Sequence[Header] = ()) -> Script:
    """Read the request whole, then answer it with a Content-Length."""

    async def script(call: Call) -> None:
        await call.body()
        length = (b"content-length", b"%d" % len(body))
        await call.send(head(status, [*headers, length]) + body)

    return script


def raw(*chunks: bytes, close: bool = False) -> Script:
    """Answer with these bytes, each in a write of its own; then close if asked to."""

    async def script(call: Call) -> None:
        await call.send(*chunks)
        if close:
            call.close()

    return script


def in_turn(*scripts: Script) -> Script:
    """The first request gets the first script, and so on; the last one stays."""
    left = list(scripts)

    async def script(call: Call) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(call)

    return script


def echo(name: str = "upstream") -> Script:
    """Answer with what arrived, as JSON: who called, method, target, headers, body."""

    async def script(call: Call) -> None:
        body = await call.body()
        seen = {
            "backend": name,
            "caller": call.spiffe_id,
            "method": call.method.decode("latin-1"),
            "target": call.target.decode("latin-1"),
            "headers": {key.decode("latin-1"): value.decode("latin-1") for key, value in call.headers},
            "body": body.decode("utf-8", "replace"),
        }
        payload = json.dumps(seen, indent=2).encode() + b"\n"
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(payload))]
        await call.send(head(200, fields, b"OK") + (b"" if call.method == b"HEAD" else payload))

    return script


async def silent(call: Call) -> None:
    """Never answer; return when the peer gives up."""
    await call.gone()


def _field(line: bytes) -> Header:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


def _spiffe_id(writer: asyncio.StreamWriter) -> str | None:
    tls = writer.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if not der:
        return None
    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else None
