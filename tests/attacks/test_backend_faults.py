"""A network between gateway and backend that fails: what the client gets, over both drivers, and what is left behind.

The fault proxy stands below the TLS of both, so each fault is one that nobody signed for.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.reason import Reason
from gateway.testing.faults import FaultProxy
from gateway.testing.upstream import Call, Script, Upstream
from gateway.testing.wait import until
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.settings import TimeoutSettings
from tests.backends import cluster, forward, pki, running
from tests.exchange import context, permit
from tests.serving import Client, Gateway, connected, get, serving

pytestmark = pytest.mark.usefixtures("driver")

QUICK = TimeoutSettings(connect=1.0, response=0.5, idle=0.5)
HALF = 40_000  # bytes of the answer's first half
WHOLE = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 80000\r\n\r\n", b"x" * HALF, b"y" * HALF),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%b\r\n" % (HALF, b"x" * HALF),
        b"%x\r\n%b\r\n0\r\n\r\n" % (HALF, b"y" * HALF),
    ),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * HALF, b"y" * HALF),
}


@dataclass
class Between:
    """A gateway, a backend over mTLS, and the network that fails between them."""

    gateway: Gateway
    proxy: FaultProxy
    backend: Upstream
    cluster: Cluster
    outcomes: list[Outcome]
    go: asyncio.Event  # the backend sends the second half

    def settled(self) -> bool:
        """No connection and no request is left at work."""
        states = ("active", "connecting", "waiting")
        return all(self.cluster.connections(state) == 0 for state in states)


@contextlib.asynccontextmanager
async def between(folder: Path, script: "Script | None" = None, *, framing: str = "length") -> AsyncGenerator[Between]:
    """The scene; the backend answers in two halves, the second when it is told."""
    go = asyncio.Event()
    head, first, second = WHOLE[framing]

    async def halves(call: Call) -> None:
        await call.body()
        await call.send(head, first)
        await go.wait()
        await call.send(second)
        if framing == "close":
            call.close()

    site = pki(folder)
    async with site.backend(script or halves) as backend, FaultProxy(backend.port) as proxy:
        made = cluster(f"https://127.0.0.1:{proxy.port}", tls=site.material(), timeouts=QUICK)
        outcomes: list[Outcome] = []
        async with running(made):
            stage = forward(made, max_body=1 << 30)

            async def handler(exchange: Exchange) -> None:
                outcomes.append(await stage(permit(context(exchange.head)), exchange, []))

            async with serving(handler=handler) as gateway:
                yield Between(gateway, proxy, backend, made, outcomes, go)


async def ask(it: Between, client: Client) -> None:
    await client.send(get("/"))
    await until(lambda: it.backend.calls)


async def status(it: Between) -> int:
    """Of a request on a connection of its own."""
    async with connected(it.gateway.ports["edge"]) as client:
        await client.send(get("/", "Connection: close"))
        return (await client.answer()).status


async def silent(call: Call) -> None:
    await call.gone()


@pytest.mark.parametrize("fault", ["stall", "reset", "half-close", "cut"])
async def test_H23_a_fault_ahead_of_the_answer_is_told_and_leaves_nothing(tmp_path: Path, fault: str) -> None:
    async with between(tmp_path, silent) as it:
        if fault == "cut":
            it.proxy.cut_after = 100  # within the handshake
        asking = asyncio.ensure_future(status(it))
        if fault != "cut":
            await until(lambda: it.backend.calls)
        match fault:
            case "stall":
                it.proxy.stall()
            case "reset":
                it.proxy.reset()
            case "half-close":
                it.proxy.half_close()
        assert await asking == (504 if fault == "stall" else 502)
        assert it.settled()
        it.proxy.resume()
        it.proxy.cut_after = None
        it.backend.script = answered
        assert await status(it) == 200


async def answered(call: Call) -> None:
    await call.body()
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.parametrize("framing", sorted(WHOLE))
@pytest.mark.parametrize("fault", ["stall", "reset", "half-close", "cut"])
async def test_H23_a_fault_within_the_answer_is_never_its_clean_end(tmp_path: Path, fault: str, framing: str) -> None:
    async with between(tmp_path, framing=framing) as it, connected(it.gateway.ports["edge"]) as client:
        if fault == "cut":
            it.proxy.cut_after = 30_000
        await ask(it, client)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        if fault != "cut":
            await client.reader.readexactly(HALF)
        match fault:
            case "stall":
                it.proxy.stall()
                it.go.set()
            case "reset":
                it.proxy.reset()
            case "half-close":
                it.proxy.half_close()
        with contextlib.suppress(ConnectionError):
            rest = await client.all()
            assert not rest.endswith(b"0\r\n\r\n")
            assert len(rest) < HALF
        await until(lambda: it.outcomes and it.settled())
        reasons = (Reason.UPSTREAM_TIMEOUT,) if fault == "stall" else (Reason.UPSTREAM_RESET, Reason.UPSTREAM_PROTOCOL)
        assert it.outcomes[0].reason in reasons
        assert b"transfer-encoding" in head.lower() or b"content-length" in head.lower()  # a client can tell


@pytest.mark.parametrize("framing", sorted(WHOLE))
async def test_a_network_that_is_slow_is_no_fault(tmp_path: Path, framing: str) -> None:
    async with between(tmp_path, framing=framing) as it, connected(it.gateway.ports["edge"]) as client:
        it.proxy.delay = 0.03
        it.go.set()
        await ask(it, client)
        assert (await client.answer()).body == b"x" * HALF + b"y" * HALF
        await until(lambda: it.outcomes and it.settled())
        assert it.outcomes[0].reason is None


async def test_a_backend_that_reads_slowly_holds_up_the_client_and_not_the_memory(tmp_path: Path) -> None:
    size = 24 << 20
    async with between(tmp_path, answered) as it, connected(it.gateway.ports["edge"]) as client:
        it.proxy.rate = 1 << 20
        client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < size:
                await client.send(b"x" * 65536)
                sent += 65536

        sending = asyncio.ensure_future(send())
        await until(lambda: it.gateway.listeners["edge"].connections and it.backend.calls)
        (connection,) = it.gateway.listeners["edge"].connections
        await until(lambda: connection._read_paused)
        exchange = connection._exchange
        assert exchange is not None
        assert exchange.buffered < 1 << 20
        assert sent < size  # what does not fit between them stays with the client
        it.proxy.reset()
        assert (await client.answer()).status == 502
        sending.cancel()
        await asyncio.wait([sending])
        await until(it.settled)
