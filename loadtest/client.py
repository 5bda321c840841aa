"""Our own load generator for kept connections: `python -m loadtest.client ORDER`, the file of a `load.Order`.

Closed: each connection asks again when it is answered. At a steady rate: requests fall due at random moments (Poisson),
whatever the answers do, and a request's time counts from when it was due, so that a stall shows in every one after it.
Prints one JSON object with the members of `load.Load`.
"""

import asyncio
import json
import random
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, cast

import httptools

from gateway.testing.wait import until
from loadtest.job import How
from loadtest.load import BEGUN, Load, Order

try:
    import uvloop as loops
except ImportError:
    import asyncio as loops  # type: ignore[no-redef]

WARM_UP = 1.0  # seconds at the rate before those that count
LATE = 5.0  # seconds that the last answers of a paced run have


class Asker(Protocol):
    """Says what a connection that is free does next."""

    def free(self, client: "Client") -> None: ...


class Tally:
    """The requests, in turn, and what came of them."""

    def __init__(self, order: Order) -> None:
        self._requests = [asked.raw() for asked in order.mix]
        self._at = 0
        self._count = time.time_ns() if order.fresh else None  # no run asks for what one before it did
        self.status = order.status
        self.latencies: list[float] = []
        self.failed = 0
        self.over = False

    def begin(self) -> None:
        """What counts begins now."""
        self.latencies.clear()
        self.failed = 0

    def next(self) -> bytes:
        self._at = (self._at + 1) % len(self._requests)
        if self._count is None:
            return self._requests[self._at]
        self._count += 1
        return self._requests[self._at].replace(b" HTTP", b"?n=%d HTTP" % self._count, 1)


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally, asker: Asker) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tally = tally
        self._asker = asker
        self._due = 0.0

    def ask(self, due: float) -> None:
        """Send the next request; its time counts from `due` (perf_counter)."""
        self._parser = httptools.HttpResponseParser(self)
        self._due = due
        self._transport.write(self._tally.next())

    def close(self) -> None:
        self._transport.close()

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() == self._tally.status:
            self._tally.latencies.append(time.perf_counter() - self._due)
        else:
            self._tally.failed += 1
        self._asker.free(self)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._asker.free(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._tally.over:
            self._tally.failed += 1
        if not self.done.done():
            self.done.set_result(None)


class Closed:
    """Asks again at once, until the time is over."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def free(self, client: Client) -> None:
        if self._tally.over:
            client.close()
        else:
            client.ask(time.perf_counter())


class Paced:
    """Asks when a request falls due; what finds no free connection waits for one, and its time runs."""

    def __init__(self, rate: float) -> None:
        """`rate`: requests a second."""
        self._rate = rate
        self._free: list[Client] = []
        self._waiting: deque[float] = deque()
        self._random = random.Random(1)  # every gateway meets the same arrivals

    def free(self, client: Client) -> None:
        if self._waiting:
            client.ask(self._waiting.popleft())
        else:
            self._free.append(client)

    async def run(self, seconds: float) -> None:
        """Let requests fall due for so long."""
        loop = asyncio.get_running_loop()
        due = time.perf_counter()
        end = due + seconds
        while (due := due + self._random.expovariate(self._rate)) < end:
            if (ahead := due - time.perf_counter()) > 0:
                await _moment(loop, ahead)
            if self._free:
                self._free.pop().ask(due)
            else:
                self._waiting.append(due)

    async def unanswered(self, connections: int) -> int:
        """How many of them get no answer, though it is waited for."""
        with suppress(TimeoutError):
            await until(lambda: len(self._free) == connections, seconds=LATE)
        return connections - len(self._free)


def _moment(loop: asyncio.AbstractEventLoop, seconds: float) -> "asyncio.Future[None]":
    """A wait that costs less than a task's sleep."""
    moment: asyncio.Future[None] = loop.create_future()
    loop.call_later(seconds, moment.set_result, None)
    return moment


async def carry_out(order: Order) -> Load:
    """Open all, ask for so long, and wait until the last has its answer."""
    loop, tally = asyncio.get_running_loop(), Tally(order)
    paced = Paced(order.rate) if order.how is How.PACED else None
    asker: Asker = paced or Closed(tally)
    context = order.context()
    clients = []
    for _ in range(order.connections):
        made = await loop.create_connection(lambda: Client(tally, asker), "127.0.0.1", order.port, ssl=context)
        clients.append(made[1])
    print(BEGUN, flush=True)
    if paced is None:
        tally.begin()
        await asyncio.sleep(order.seconds)
        tally.over = True
        await asyncio.wait([client.done for client in clients])
        return Load.of(tally.latencies, tally.failed)
    await paced.run(WARM_UP)
    tally.begin()
    await paced.run(order.seconds - WARM_UP)
    unanswered = await paced.unanswered(order.connections)
    tally.over = True
    for client in clients:
        client.close()
    return Load.of(tally.latencies, tally.failed + unanswered)


def main(arguments: list[str]) -> int:
    """Ask and print."""
    load = loops.run(carry_out(Order.read(Path(arguments[0]))))
    print(json.dumps(asdict(load)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
