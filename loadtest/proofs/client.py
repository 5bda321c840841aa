"""Requests at a steady rate, whatever the answers do: `python -m loadtest.proofs.client OUTPUT`, driven over stdin.

An open loop: a request counts from the moment when it was due, so that a stall shows in every one after it. The first
line is the job, each later one the requests to go on with; at the end of stdin the samples are written, three doubles
each: when it was due (CLOCK_MONOTONIC), how long it took, and its status, or what became of it.
"""

import asyncio
import contextlib
import gc
import json
import ssl
import sys
import time
from array import array
from collections import deque
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

from gateway.testing.wait import until

BROKEN = -1.0  # the connection ended before the answer did
REFUSED = -2.0  # nobody listens, on any of the ports
_PATIENCE = 10.0  # seconds at the end, for what is still asked


class Job:
    """What to ask, where, and what came of it."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.requests: list[bytes] = [text.encode() for text in given["requests"]]
        self.ports: deque[int] = deque(given["ports"])
        self.rate: float = given["rate"]
        self.connections: int = given["connections"]
        self.fresh: int = given["fresh"]  # every so many requests one goes over a new connection; 0: none
        self.tls = None if given["ca"] is None else ssl.create_default_context(cafile=given["ca"])
        self.idle: deque[Line] = deque()
        self.waiting: deque[float] = deque()  # when what waits for a connection was due
        self.lines = 0  # connections that are open or in the making
        self.samples = array("d")
        self.open = 0  # requests without an answer
        self._sent = 0

    def next(self) -> bytes:
        """The requests, in turn."""
        self._sent += 1
        return self.requests[self._sent % len(self.requests)]

    def done(self, due: float, status: float) -> None:
        """A request is answered, or lost."""
        self.open -= 1
        self.samples.extend((due, time.monotonic() - due, status))

    def ask(self, due: float, *, fresh: bool = False) -> None:
        """Send one, over a connection that is free or over a new one."""
        self.open += 1
        if fresh and self.idle:
            self.idle.popleft().close()
        if self.idle and not fresh:
            self.idle.popleft().ask(due)
        elif self.lines < self.connections:
            asyncio.get_running_loop().create_task(self.connect(due))
        else:
            self.waiting.append(due)

    def free(self, line: "Line | None") -> None:
        """A connection is there for the next request; None: one is gone."""
        if line is None:
            self.lines -= 1
            if self.waiting:
                asyncio.get_running_loop().create_task(self.connect(self.waiting.popleft()))
        elif self.waiting:
            line.ask(self.waiting.popleft())
        else:
            self.idle.append(line)

    async def connect(self, due: float | None) -> None:
        """A new connection, and a request over it. A port where nobody listens is left, as any balancer does."""
        loop = asyncio.get_running_loop()
        self.lines += 1
        for _ in range(len(self.ports)):
            line = Line(self, due)
            try:
                await loop.create_connection(
                    lambda line=line: line,
                    "127.0.0.1",
                    self.ports[0],
                    ssl=self.tls,
                    server_hostname="localhost" if self.tls is not None else None,
                )
            except ConnectionRefusedError:
                self.ports.rotate(-1)
            except (OSError, ssl.SSLError):
                self._lost(due, BROKEN)
                return
            else:
                return
        self._lost(due, REFUSED)

    def _lost(self, due: float | None, status: float) -> None:
        if due is not None:
            self.done(due, status)
        self.free(None)


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, job: Job, due: float | None) -> None:
        self._job = job
        self._due = due
        self._close = False

    def ask(self, due: float) -> None:
        """Send the next request."""
        self._due = due
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._job.next())

    def close(self) -> None:
        """Not wanted any more."""
        self._transport.close()

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"connection" and value == b"close":
            self._close = True

    def on_message_complete(self) -> None:
        assert self._due is not None
        self._job.done(self._due, self._parser.get_status_code())
        self._due = None
        if self._close:
            self.close()
        else:
            self._job.free(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._due is None:
            self._job.free(self)
        else:
            self.ask(self._due)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._job.idle:
            self._job.idle.remove(self)
        if self._due is not None:
            self._job.done(self._due, BROKEN)
        self._job.free(None)


async def run() -> Job:
    """Until stdin ends."""
    loop, orders = asyncio.get_running_loop(), asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    job = Job(json.loads(await orders.readline()))
    await asyncio.gather(*(job.connect(None) for _ in range(job.connections)))
    gc.collect()
    gc.freeze()
    gc.disable()
    print("ready", flush=True)
    stop = asyncio.Event()

    async def obey() -> None:
        while line := await orders.readline():
            job.requests = [text.encode() for text in json.loads(line)]
        stop.set()

    obeying = asyncio.create_task(obey())
    began, sent = time.monotonic(), 0
    while not stop.is_set():
        due = began + sent / job.rate
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        sent += 1
        job.ask(due, fresh=bool(job.fresh) and sent % job.fresh == 0)
    await obeying
    with contextlib.suppress(TimeoutError):
        await until(lambda: not job.open, seconds=_PATIENCE)
    for _ in range(job.open):  # never answered
        job.samples.extend((time.monotonic(), _PATIENCE, BROKEN))
    return job


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(uvloop.run(run()).samples.tobytes())
