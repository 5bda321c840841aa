"""The full job without sockets: `python -m loadtest.inside`, for finding what a change costs before the load shows it.

The real snapshot, server protocol and upstream connections, over transports in memory: CPU time of this process alone,
the least and the median of many batches. No TLS and no system calls but the audit log's; so a figure here is less than
one of `python -m loadtest`, and steadier.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

import uvloop

from gateway.app import GatewayApp
from gateway.config.load import load
from gateway.control.runtime import Runtime
from gateway.control.worker import calm_collector
from gateway.server.exchange import Driver
from gateway.server.lane import Lane
from gateway.server.listener import Listener
from gateway.server.protocol import HttpProtocol
from gateway.server.settings import Limits
from gateway.server.turns import Turns
from gateway.upstreams.connection import Connection
from loadtest.job import BODY, CALLERS, CONNECTIONS, ROUTES, WORK, Place, Scenario, Variant, path_of
from loadtest.peers.gateway import Gateway
from loadtest.world import LIFETIME, certificates_of, issuer_of

ANSWER = (  # as the benchmark's nginx writes it
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 02 Feb 2026 02:02:02 GMT\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%b"
) % (BODY, b"x" * BODY)


DRIVERS = ("lane", "asgi")
WARM = "warm"


class Pipe(asyncio.Transport):
    """A transport in memory: what is written calls back one turn of the loop later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, written: Callable[[], None]) -> None:
        super().__init__()
        self._loop = loop
        self._written = written

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._loop.call_soon(self._written)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Unobserved:
    """Hears of connections."""

    def connections(self, listener: str, change: int) -> None: ...

    def resumed(self, listener: str) -> None: ...

    def handshake(
        self, listener: str, peer: str, reason: str, detail: str, sni: str | None = None, claimed: bytes = b""
    ) -> None: ...


class Clients:
    """Connections that each ask again when they are answered, until the batch is through."""

    def __init__(self, make: Callable[[], Driver], requests: Iterator[bytes], connections: int) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._requests = requests
        self._left = 0
        self._busy = 0
        self._done: asyncio.Future[None] = loop.create_future()
        listener = Listener("edge", Limits(), Unobserved())
        self._protocols = [
            HttpProtocol(make(), listener, ("127.0.0.1", 40000 + number), ("127.0.0.1", 8443))
            for number in range(connections)
        ]
        for protocol in self._protocols:
            protocol.connection_made(Pipe(loop, self._again(protocol)))

    async def batch(self, size: int) -> float:
        """CPU microseconds a request."""
        self._left, self._busy = size, len(self._protocols)
        self._done = self._loop.create_future()
        began = time.process_time()
        for protocol in self._protocols:
            self._loop.call_soon(self._again(protocol))
        await self._done
        return (time.process_time() - began) / size * 1e6

    def _again(self, protocol: HttpProtocol) -> Callable[[], None]:
        def again() -> None:
            if self._left > 0:
                self._left -= 1
                protocol.data_received(next(self._requests))
                return
            self._busy -= 1
            if not self._busy:
                self._done.set_result(None)

        return again


def backends(loop: asyncio.AbstractEventLoop, runtime: Runtime, connections: int) -> None:
    """Fill the pool of the one endpoint with connections that answer at once."""
    (endpoint,) = runtime.parts.upstreams.clusters["backend"].endpoints

    def answering(connection: Connection) -> Callable[[], None]:
        return lambda: connection.data_received(ANSWER)

    for _ in range(connections):
        connection = Connection(endpoint, loop)
        connection.connection_made(Pipe(loop, answering(connection)))
        endpoint.admit(connection)


async def measure(
    directory: Path, *, rounds: int, size: int, connections: int, drivers: Sequence[str], wait: bool = False
) -> dict[str, list[float]]:
    """CPU microseconds a request, of each batch, for each driver; their batches take turns.

    `wait`: once all is warm, for a line on stdin.
    """
    loop = asyncio.get_running_loop()
    certificates = directory / "certificates"
    certificates.mkdir()
    certificates_of(certificates)
    issuer = issuer_of(certificates, "RS256")
    tokens = [issuer.token(f"caller-{number}", lifetime=LIFETIME) for number in range(CALLERS)]
    Gateway().command(Variant(Scenario.FULL), Place(8443, directory, certificates, 1))
    runtime = Runtime()
    await runtime.adopt(runtime.prepare(load(directory / "routes.yaml")))
    backends(loop, runtime, connections)
    requests = [
        f"GET {path_of(number)}items/7 HTTP/1.1\r\nHost: api.bench.example\r\n"
        f"Authorization: Bearer {tokens[number % CALLERS]}\r\n\r\n".encode()
        for number in range(ROUTES)
    ]
    app, lane = GatewayApp(runtime.current, listener="edge"), Lane(runtime.current, set())
    make: dict[str, Callable[[], Driver]] = {
        "lane": lambda: lane,
        "asgi": lambda: Turns(app, set()),
    }
    clients = {name: Clients(make[name], cycle(requests), connections) for name in drivers}
    for each in clients.values():
        await each.batch(size)
    calm_collector()
    if wait:
        print(WARM, flush=True)
        sys.stdin.readline()
    figures: dict[str, list[float]] = {name: [] for name in drivers}
    for _ in range(rounds):
        for name in drivers:
            figures[name].append(await clients[name].batch(size))
    answered = sum(runtime.metrics.requests.labels(f"s{n}", "GET", "200").value for n in range(ROUTES))
    asked = size * (rounds + 1) * len(drivers)
    if answered != asked:
        raise RuntimeError(f"{answered:g} of {asked} requests were answered with 200")
    await runtime.close()
    return figures


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.inside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--size", type=int, default=500, help="requests of a batch")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--driver", choices=DRIVERS, help="only this one")
    parser.add_argument("--wait", action="store_true", help="say when all is warm, and go on at a line on stdin")
    given = parser.parse_args(arguments)
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix="inside-") as directory:
        drivers = DRIVERS if given.driver is None else (given.driver,)
        run = measure(
            Path(directory),
            rounds=given.rounds,
            size=given.size,
            connections=given.connections,
            drivers=drivers,
            wait=given.wait,
        )
        measured = uvloop.run(run)
    for name, figures in measured.items():
        least, median = min(figures), statistics.median(figures)
        print(f"{name}: {least:.1f} us least, {median:.1f} us median, of {given.rounds} batches")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
