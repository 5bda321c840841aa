"""The request body on its way to the backend, beside the answer on its way back (full duplex).

Rule: a client's body is read only as fast as the backend takes it, and counted as it comes.
Invariant: what ends the upload early ends the connection: a backend never takes half a body for a whole one.
"""

import asyncio
from collections.abc import Callable

from gateway.model.exchange import ClientGone, Exchange
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.streams import Entry
from gateway.stages.forward.trailers import LAST_CHUNK, RequestTrailers
from gateway.upstreams.connection import Connection


class Upload:
    """One body; `start` it, `stop` it whatever happens."""

    def __init__(
        self,
        exchange: Exchange,
        connection: Connection,
        head: bytes,
        limit: int,
        watch: Callable[[], Entry],
        trailers: RequestTrailers | None = None,
    ) -> None:
        """`head` goes out with the first piece of the body; `limit`: bytes that the route takes.

        `watch`: called when the body goes on behind its first piece. `trailers`: what may follow it.
        """
        self.bytes_in = 0
        self.done = False
        self.reading = False  # it is the client that it waits for
        self._exchange = exchange
        self._connection = connection
        self._head: bytes | None = head
        self._limit = limit
        self._length = exchange.head.content_length
        self._watch = watch
        self._trailers = trailers
        self._entry: Entry | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        loop = asyncio.get_running_loop()
        self._connection.touch()
        self._task = loop.create_task(self._run())
        loop.call_soon(self._flush)  # the task runs before it: a first piece that is there already joins the head

    def stop(self) -> None:
        """Nobody wants the rest."""
        if self._task is not None and not self.done:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._pump()
        except (ClientGone, Refused) as failure:
            self._connection.fail(failure)
        except Exception as failure:  # noqa: BLE001 - it is raised again where the answer is awaited
            self._connection.fail(failure)
        finally:
            if self._entry is not None:
                self._entry.leave()

    async def _pump(self) -> None:
        exchange, connection, chunked = self._exchange, self._connection, self._length is None
        while True:
            self.reading = True
            data = await exchange.read()
            self.reading = False
            if not data:
                break
            self._count(len(data))
            self._write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            await connection.drain()
            if self._entry is None and self.bytes_in != self._length:
                self._entry = self._watch()
        if chunked:
            self._write(self._trailers.last_chunk(exchange) if self._trailers is not None else LAST_CHUNK)
        elif self.bytes_in != self._length:
            raise Refused(Reason.BAD_REQUEST, "the body is shorter than its Content-Length")
        self.done = True
        connection.sent()

    def _count(self, size: int) -> None:
        self.bytes_in += size
        if self.bytes_in > self._limit:
            raise Refused(Reason.BODY_TOO_LARGE, f"more than {self._limit} bytes")
        if self._length is not None and self.bytes_in > self._length:
            raise Refused(Reason.AMBIGUOUS_FRAMING, "the body is longer than its Content-Length")

    def _write(self, data: bytes) -> None:
        if self._head is not None:
            data, self._head = self._head + data, None
        self._connection.write(data)

    def _flush(self) -> None:
        if self._head is not None:
            self._write(b"")
