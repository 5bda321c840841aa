"""A TCP proxy that fails on command: between the gateway and a backend, below their TLS.

Rule: it forwards bytes as they come until it is told otherwise; what it is told holds for open connections too.
Invariant: it never makes up a byte.
"""

import asyncio
import contextlib
import socket
import struct
from typing import Self

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time


class FaultProxy:
    """Listens on loopback and connects on to a port there; `async with FaultProxy(port) as proxy`."""

    def __init__(self, to: int, host: str = "127.0.0.1") -> None:
        self.delay = 0.0  # seconds that each piece is held back, either way
        self.cut_after: int | None = None  # bytes from the backend, for each connection; then both sides are closed
        self.rate: int | None = None  # bytes a second that are read of either side, for connections from now on
        self.accepted = 0
        self._to = to
        self._host = host
        self._port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()  # of them those that lead back to who connected
        self._ended: set[asyncio.StreamWriter] = set()  # of these those that were ended

    @property
    def port(self) -> int:
        """Where it listens; stays the same over `refuse` and `start`."""
        return self._port

    async def start(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Accept no more: a connect is refused by the system. Open connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def stall(self) -> None:
        """Pass nothing on, neither way, and keep everything open."""
        self._flowing.clear()

    def resume(self) -> None:
        """Pass on again, what was held back first."""
        self._flowing.set()

    def reset(self) -> None:
        """Break every open connection off with a TCP reset."""
        for writer in list(self._writers):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    def half_close(self) -> None:
        """End the backend's side of every open connection with a FIN, and read on."""
        for writer in self._clients - self._ended:
            self._ended.add(writer)
            writer.write_eof()

    async def stop(self) -> None:
        """End everything."""
        self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = {writer}
        try:
            back_reader, back_writer = await asyncio.open_connection(self._host, self._to)
            writers.add(back_writer)
            self._writers |= writers
            self._clients.add(writer)
            await asyncio.gather(self._pass(reader, back_writer, None), self._pass(back_reader, writer, self.cut_after))
        except (OSError, RuntimeError):  # the latter is uvloop's word for a transport that was aborted meanwhile
            pass
        finally:
            self._writers -= writers
            self._clients.discard(writer)
            self._ended.discard(writer)
            for each in writers:
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        rate = self.rate
        while data := await reader.read(65536 if rate is None else max(1, rate // 100)):
            if rate is not None:
                await asyncio.sleep(len(data) / rate)
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flowing.wait()
            if left is not None and len(data) >= left:
                writer.write(data[:left])
                await writer.drain()
                raise ConnectionAbortedError
            left = None if left is None else left - len(data)
            if writer not in self._ended:
                writer.write(data)
                await writer.drain()
        if writer not in self._ended and not writer.is_closing():
            writer.write_eof()
