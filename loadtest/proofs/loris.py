"""Issue 6: 2,000 heads that never end, a byte in five seconds each, and what a good client feels of them."""

import asyncio
import contextlib
import ssl
from collections import deque
from typing import cast

from gateway.testing.wait import until
from loadtest.proofs.figure import Figure, at_most, calm_enough, none_failed
from loadtest.proofs.load import load, stretch
from loadtest.proofs.plan import Plan
from loadtest.proofs.site import site
from tests.flows.gateway_process import HEAD

HEADS = 2000
_RATE = 100.0  # good requests a second
_OPENED = 200.0  # connections a second, until all are there
_PAUSE = 5.0  # seconds between two bytes of one head: more often, and this program is what is busy
_BEHIND = 0.05  # seconds of connections that may come at once
_PATIENT = HEAD.replace("admin:", "    limits: {{header_timeout: 60s}}\nadmin:", 1)  # none is closed meanwhile
_HEAD = b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


class Swarm:
    """Connections whose heads never end; one that the gateway closed is opened again."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        self.held: deque[Half] = deque()
        self.opened = 0
        self._port = port
        self._tls = tls
        self._arriving = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                await asyncio.sleep(max(0.0, due - loop.time()))
                due = max(due + 1 / _OPENED, loop.time() - _BEHIND)
                if len(self.held) + self._arriving < HEADS:
                    self._arriving += 1
                    task = asyncio.create_task(self._open())
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                for _ in range(int(len(self.held) / _OPENED / _PAUSE)):
                    half = self.held.popleft()
                    half.transport.write(b"x")
                    self.held.append(half)
        finally:
            for half in tuple(self.held):
                half.transport.abort()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, ssl.SSLError):
            await loop.create_connection(
                lambda: Half(self), "127.0.0.1", self._port, ssl=self._tls, server_hostname="localhost"
            )
            self.opened += 1
        self._arriving -= 1


class Half(asyncio.Protocol):
    """One of them."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(_HEAD)
        self._swarm.held.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        with contextlib.suppress(ValueError):
            self._swarm.held.remove(self)


async def loris(plan: Plan) -> list[Figure]:
    """Calm, the swarm arriving, the swarm there; the gateway waits for all of its heads the whole time."""
    async with site(plan.folder, head=_PATIENT) as held:
        swarm = Swarm(held.gateway.edge, ssl.create_default_context(cafile=held.ca))
        async with load([held.gateway.edge], held.mix(), _RATE, ca=held.ca, connections=8) as steady:
            await stretch(2.0)
            calm = await stretch(plan.seconds)
            began = asyncio.get_running_loop().time()
            task = asyncio.create_task(swarm.run())
            await until(lambda: len(swarm.held) > HEADS * 0.95, seconds=120, what="2,000 half-open heads")
            arrived = asyncio.get_running_loop().time()
            there = await stretch(plan.seconds)
            count = len(swarm.held)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        quiet, arriving, present = steady.between(*calm), steady.between(began, arrived), steady.between(*there)
        return [
            calm_enough("loris", f"a good client while {count} half-open heads are there", quiet, present),
            calm_enough("loris", f"a good client while they come, {_OPENED:g} a second", quiet, arriving),
            none_failed("loris", "the good client", steady.all()),
            at_most(
                "loris", "half-open heads missing at the end", HEADS * 0.9 - count, 0, note=f"{swarm.opened} opened"
            ),
        ]
