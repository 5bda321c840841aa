"""Issue 6: bodies of a gibibyte each way in constant memory, back pressure from whoever is slow; by both drivers."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.testing.tls import client_context, server_context
from gateway.testing.wait import BOUND, until
from loadtest.measure import cores, pin
from loadtest.proofs.figure import Figure, at_most
from loadtest.proofs.plan import Plan
from tests.flows.gateway_process import Served, prepared, serving
from tests.flows.trust_scene import STOCK
from tests.serving import Client, connected, get

DRIVERS = ("lane", "asgi")
GROWTH = 32.0  # MiB, of issue 6
HELD_BACK = 24.0  # MiB between a sender and a reader that stalls: the socket buffers of three connections
_PIECE = bytes(1 << 18)
_MIB = 1 << 20
_CONFIG = """
upstreams:
  giant: {{endpoints: ["https://127.0.0.1:{port}"], tls: {{server_identity: "{identity}"}}}}
routes:
  - {{name: giant, match: {{paths: [/giant]}}, upstream: giant, public: true, max_body: unlimited}}
  - {{name: health, match: {{paths: [/health]}}, public: true, respond: {{status: 200, body: ok}}}}
audit: {{directory: audit}}
"""


@dataclass
class Giant:
    """A backend of large bodies: GET sends one, POST takes one, at the pace of `flowing`."""

    size: int  # bytes of an answer
    sent: int = 0
    received: int = 0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ssl.SSLError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.sent = self.received = 0
                if head.startswith(b"GET"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.size)
                    while self.sent < self.size:
                        writer.write(_PIECE)
                        await writer.drain()
                        self.sent += len(_PIECE)
                else:
                    while self.received < self.size:
                        await self.flowing.wait()
                        self.received += len(await reader.read(len(_PIECE)))
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@dataclass
class Hall:
    """A gateway before a giant."""

    served: Served
    giant: Giant
    tls: ssl.SSLContext

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        async with connected(self.served.edge, self.tls) as client:
            yield client

    async def healthy(self) -> bool:
        """Whether somebody else is answered."""
        async with self.client() as client:
            await client.send(get("/health", host="localhost"))
            return (await client.answer()).status == 200

    def forget_peak(self) -> float:
        """The resident memory of now, in MiB; the peak is counted from here (proc(5), clear_refs)."""
        Path(f"/proc/{self.served.process.popen.pid}/clear_refs").write_text("5")
        return self.resident("VmRSS")

    def resident(self, name: str = "VmHWM") -> float:
        """Its peak in MiB."""
        status = Path(f"/proc/{self.served.process.popen.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0]) / 1024


@contextlib.asynccontextmanager
async def hall(folder: Path, driver: str, size: int) -> AsyncGenerator[Hall]:
    """`size`: bytes of a body."""
    root = prepared(folder).authority("cluster-ca")
    giant = Giant(size)
    giant.flowing.set()
    tls = server_context(root.issue(uri=STOCK), [root])
    server = await asyncio.start_server(giant, "127.0.0.1", 0, ssl=tls)
    text = _CONFIG.format(port=server.sockets[0].getsockname()[1], identity=STOCK)
    with contextlib.ExitStack() as stack:
        served = await asyncio.to_thread(stack.enter_context, serving(folder, text, "--driver", driver))
        pin(served.process.popen.pid, cores()[0])
        made = Hall(served, giant, client_context([root]))
        try:
            for _ in range(20):
                await made.healthy()
            yield made
        finally:
            await asyncio.to_thread(stack.close)
            server.close()


async def download(of: Hall) -> int:
    """Bytes that came."""
    async with of.client() as client:
        await client.send(get("/giant", host="localhost"))
        await client.reader.readuntil(b"\r\n\r\n")
        return await _read(client, of.giant.size)


async def upload(of: Hall) -> int:
    """Bytes that arrived."""
    async with of.client() as client:
        await _begin_upload(client, of.giant.size)
        for _ in range(of.giant.size // len(_PIECE)):
            await client.send(_PIECE)
        assert (await client.answer()).status == 200
        return of.giant.received


async def slow_reader(of: Hall) -> tuple[float, bool, int]:
    """MiB that the backend sent and the client did not read; whether others were answered; bytes that came at last."""
    async with of.client() as client:
        await client.send(get("/giant", host="localhost"))
        await client.reader.readuntil(b"\r\n\r\n")
        await _still(lambda: of.giant.sent)
        held, others = of.giant.sent / _MIB, await of.healthy()
        return held, others, await _read(client, of.giant.size)


async def slow_backend(of: Hall) -> tuple[float, bool, int]:
    """MiB that the client sent and the backend did not read; whether others were answered; bytes that came at last."""
    of.giant.flowing.clear()
    async with of.client() as client:
        await _begin_upload(client, of.giant.size)
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(of.giant.size // len(_PIECE)):
                await client.send(_PIECE)
                sent += len(_PIECE)

        sending = asyncio.create_task(send())
        await _still(lambda: sent)
        held, others = sent / _MIB, await of.healthy()
        of.giant.flowing.set()
        await sending
        assert (await client.answer(seconds=BOUND)).status == 200
        return held, others, of.giant.received


async def large(plan: Plan) -> list[Figure]:
    """The gibibyte."""
    figures, size = [], plan.mebibytes * _MIB
    for driver in DRIVERS:
        async with hall(plan.folder / driver, driver, size) as of:
            for what, carry in {"down": download, "up": upload}.items():
                before = of.forget_peak()
                came = await carry(of)
                growth = of.resident() - before
                name = f"{plan.mebibytes} MiB {what}, {driver}"
                figures.append(at_most("bodies", f"{name}: growth", growth, GROWTH, "MiB", f"from {before:.0f} MiB"))
                figures.append(at_most("bodies", f"{name}: bytes missing", size - came, 0))
    return figures


async def pressure(plan: Plan) -> list[Figure]:
    """Whoever reads slowly holds the sender back, and nobody else."""
    figures, size = [], max(64, plan.mebibytes // 8) * _MIB
    for driver in DRIVERS:
        async with hall(plan.folder / driver, driver, size) as of:
            for what, carry in {
                "a client that stops reading": slow_reader,
                "a backend that stops": slow_backend,
            }.items():
                before = of.forget_peak()
                held, others, came = await carry(of)
                growth, name = of.resident() - before, f"{what}, {driver}"
                figures += [
                    at_most("pressure", f"{name}: on the way", held, HELD_BACK, "MiB", f"of {size // _MIB} MiB"),
                    at_most("pressure", f"{name}: growth", growth, GROWTH, "MiB"),
                    at_most("pressure", f"{name}: bytes missing, others unanswered", size - came + (not others), 0),
                ]
    return figures


async def _begin_upload(client: Client, size: int) -> None:
    await client.send(f"POST /giant HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())


async def _read(client: Client, size: int) -> int:
    came = 0
    while came < size and (data := await client.reader.read(1 << 20)):
        came += len(data)
    return came


async def _still(value: Callable[[], int], looks: int = 50) -> None:
    """Wait until it is not 0 and the same for so many looks: half a second."""
    last, same = 0, 0

    def still() -> bool:
        nonlocal last, same
        now = value()
        same = same + 1 if now == last and now else 0
        last = now
        return same >= looks

    await until(still, what="the sender to be held back")
