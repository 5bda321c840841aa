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
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Self

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
from gateway.testing.issuer import Issuer
from gateway.upstreams.connection import Connection
from loadtest.job import (
    BODY,
    CALLERS,
    CONNECTIONS,
    DENIALS,
    ROUTES,
    USUAL_WORK,
    WORK,
    Place,
    Scenario,
    Setting,
    Token,
    Variant,
    Work,
)
from loadtest.load import Asked
from loadtest.peers.gateway import Gateway
from loadtest.world import LIFETIME, certificates_of, forged, issuer_of, spread

ANSWER = (  # as the benchmark's nginx writes it
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 02 Feb 2026 02:02:02 GMT\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%b"
) % (BODY, b"x" * BODY)


DRIVERS = ("lane", "asgi")
WARM = "warm"
WARMING = 4  # times that each of many heads comes before anything is measured


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


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    rounds: int
    size: int  # requests of a batch
    connections: int = CONNECTIONS
    drivers: Sequence[str] = DRIVERS
    routes: Sequence[int] = (ROUTES,)
    heads: int = 0  # different requests; 0: one a route
    work: Work = USUAL_WORK  # of this the token, the method and the status that is due
    wait: bool = False  # once all is warm, for a line on stdin


class Site:
    """A gateway with so many routes, and those who ask it."""

    def __init__(self, runtime: Runtime, mix: Sequence[bytes], routes: int, work: Work) -> None:
        self.runtime = runtime
        self.mix = mix
        self._routes = routes
        self._work = work
        self._app = GatewayApp(runtime.current, listener="edge")
        self._lane = Lane(runtime.current, set())
        self.asked = 0

    @classmethod
    async def open(cls, directory: Path, issuer: Issuer, plan: Plan, routes: int) -> Self:
        """`directory`: of its own, beside the certificates."""
        runtime = Runtime()
        await runtime.adopt(runtime.prepare(load(_written(directory, routes))))
        backends(asyncio.get_running_loop(), runtime, plan.connections)
        tokens = [_sent(issuer.token(f"caller-{number}", lifetime=LIFETIME), plan.work) for number in range(CALLERS)]
        mix = [
            Asked(path, tokens[at % CALLERS], plan.work.method).raw()
            for at, path in enumerate(spread(routes, CALLERS, plan.heads))
        ]
        return cls(runtime, mix, routes, plan.work)

    def clients(self, driver: str, connections: int) -> Clients:
        """Those who ask by this driver."""
        make: Callable[[], Driver] = (lambda: self._lane) if driver == "lane" else lambda: Turns(self._app, set())
        return Clients(make, cycle(self.mix), connections)

    async def batch(self, clients: Clients, size: int) -> float:
        """CPU microseconds a request."""
        self.asked += size
        return await clients.batch(size)

    async def close(self) -> None:
        """Raises RuntimeError when a request was answered otherwise than with the status that is due."""
        cells, method, status = self.runtime.metrics.requests, self._work.method, str(self._work.status)
        answered = sum(cells.labels(f"s{number}", method, status).value for number in range(self._routes))
        if answered != self.asked:
            raise RuntimeError(f"{answered:g} of {self.asked} requests were answered with {status}")
        await self.runtime.close()


def _sent(token: str, work: Work) -> str:
    if work.token is Token.GOOD:
        return token
    return forged(token) if work.token is Token.FORGED else ""


def _written(directory: Path, routes: int) -> Path:
    directory.mkdir()
    place = Place(8443, directory, directory.parent / "certificates", 1)
    Gateway().command(Variant(Scenario.FULL, setting=Setting(routes=routes)), place)
    return directory / "routes.yaml"


async def measure(directory: Path, plan: Plan) -> dict[str, list[float]]:
    """CPU microseconds a request, of each batch, by driver and number of routes; their batches take turns."""
    certificates = directory / "certificates"
    certificates.mkdir()
    certificates_of(certificates)
    issuer = issuer_of(certificates, "RS256")
    sites = {routes: await Site.open(directory / f"{routes}", issuer, plan, routes) for routes in plan.routes}
    rows: dict[str, tuple[Site, Clients]] = {}
    for routes, site in sites.items():  # no client waits while another site is made
        for driver in plan.drivers:
            name = driver if len(sites) == 1 else f"{driver}, {routes:,} routes"
            rows[name] = site, site.clients(driver, plan.connections)
    for site, clients in rows.values():
        for _ in range(WARMING if plan.heads else 1):  # what comes again is kept from its second coming on
            await site.batch(clients, max(plan.size, len(site.mix)))
    calm_collector()
    if plan.wait:
        print(WARM, flush=True)
        sys.stdin.readline()
    figures: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(plan.rounds):
        for name, (site, clients) in rows.items():
            figures[name].append(await site.batch(clients, plan.size))
    for site in sites.values():
        await site.close()
    return figures


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.inside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--size", type=int, default=500, help="requests of a batch")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--driver", choices=DRIVERS, help="only this one")
    parser.add_argument("--routes", default=str(ROUTES), help="how many; several with commas between them take turns")
    parser.add_argument("--heads", type=int, default=0, help="so many different requests (default: one a route)")
    parser.add_argument("--refused", choices=DENIALS, help="requests of this kind (default: such as are forwarded)")
    parser.add_argument("--wait", action="store_true", help="say when all is warm, and go on at a line on stdin")
    given = parser.parse_args(arguments)
    drivers = DRIVERS if given.driver is None else (given.driver,)
    routes = tuple(map(int, given.routes.split(",")))
    work = DENIALS[given.refused] if given.refused else USUAL_WORK
    plan = Plan(given.rounds, given.size, given.connections, drivers, routes, given.heads, work, given.wait)
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix="inside-") as directory:
        measured = uvloop.run(measure(Path(directory), plan))
    first = next(iter(measured.values()))
    for name, figures in measured.items():
        least, median = min(figures), statistics.median(figures)
        pairs = statistics.median(one / other for one, other in zip(figures, first, strict=True))
        ratio = f", {pairs:.3f} of the first" if len(measured) > 1 else ""
        print(f"{name}: {least:.1f} us least, {median:.1f} us median, of {given.rounds} batches{ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
