"""`python -m loadtest.trust`: what a rotation and a flood of unknown kids cost those who ask meanwhile.

Rotation: the edge certificate and the gateway's identity, `--rotations` times, under `--rate` requests a second.
Flood: 1,000 tokens of unknown kids beside good tokens at `--rate`, against the same rate with nobody else there.
An open loop: a request is sent when it is due, and its time counts from then, so that a stall shows in every one after.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.job import WORK
from tests.flows.trust_scene import OWN, Scene, asked, scene
from tests.serving import Client

CONNECTIONS = 32
FLOOD = 1000


@dataclass
class Paced:
    """Good requests at a steady rate."""

    of: Scene
    rate: float
    waits: list[float] = field(default_factory=list)  # seconds
    failed: list[str] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        free: asyncio.Queue[Client] = asyncio.Queue()
        bearer = self.of.bearer()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(CONNECTIONS):
                free.put_nowait(await stack.enter_async_context(self.of.connection()))
            began, tasks, sent = time.perf_counter(), set[asyncio.Task[None]](), 0
            while not stop.is_set():
                due = began + sent / self.rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                sent += 1
                task = asyncio.create_task(self._one(free, due, bearer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)

    async def _one(self, free: "asyncio.Queue[Client]", due: float, bearer: str) -> None:
        client = await free.get()
        try:
            answer = await asked(client, "/api/x", bearer)
            if answer.status != 200:
                self.failed.append(f"{answer.status}")
        except (OSError, EOFError, TimeoutError) as error:
            self.failed.append(repr(error))
        self.waits.append(time.perf_counter() - due)
        free.put_nowait(client)

    def __str__(self) -> str:
        ranked = sorted(self.waits)
        p50, p99 = (ranked[int(len(ranked) * share)] * 1000 for share in (0.5, 0.99))
        return f"{len(ranked)} requests, {len(self.failed)} failed, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


@contextlib.asynccontextmanager
async def paced(of: Scene, rate: float) -> AsyncGenerator[Paced]:
    load, stop = Paced(of, rate), asyncio.Event()
    task = asyncio.create_task(load.run(stop))
    try:
        yield load
    finally:
        stop.set()
        await task


async def calm(of: Scene, rate: float, seconds: float) -> Paced:
    async with paced(of, rate) as load:
        await asyncio.sleep(seconds)
    return load


async def rotate(of: Scene, rate: float, rotations: int) -> Paced:
    async with paced(of, rate) as load:
        for turn in range(1, rotations + 1):
            of.write(of.root.issue(dns=["localhost"]), "edge")
            of.write(of.root.issue(uri=OWN), "gateway")
            await of.reloaded("listener", "edge", turn)
            await of.reloaded("identity", "identity", turn)
            await asyncio.sleep(0.5)
    return load


async def flood(of: Scene, rate: float, seconds: float) -> tuple[Paced, int]:
    """The good requests beside the flood, and the fetches that it cost."""
    fetched = of.provider.asked["/jwks"]
    bad = [f"Authorization: Bearer {of.provider.issuer.token(headers={'kid': f'k{n}'})}" for n in range(FLOOD)]
    async with paced(of, rate) as load, of.connection() as client:
        began = time.perf_counter()
        for number, bearer in enumerate(bad):
            await asyncio.sleep(max(0.0, began + number * seconds / FLOOD - time.perf_counter()))
            await asked(client, "/api/x", bearer)
    return load, of.provider.asked["/jwks"] - fetched


async def measure(rate: float, seconds: float, rotations: int, folder: Path) -> int:
    async with scene(folder) as of:
        await calm(of, rate, 2)  # warms up
        print(f"calm:     {await calm(of, rate, seconds)}", flush=True)
        beside, fetches = await flood(of, rate, seconds)
        print(f"flood:    {beside}; {FLOOD} unknown kids cost {fetches} fetches", flush=True)
        rotated = await rotate(of, rate, rotations)
        print(f"rotation: {rotated}; {rotations} rotations", flush=True)
        return 1 if beside.failed or rotated.failed or fetches > 2 else 0


def main(arguments: list[str]) -> int:
    """0 when nothing failed and the flood cost two fetches at most."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.trust", description=__doc__)
    parser.add_argument("--rate", type=float, default=500, help="good requests a second, default 500")
    parser.add_argument("--seconds", type=float, default=20, help="of calm and flood, default 20: 10,000 samples")
    parser.add_argument("--rotations", type=int, default=10)
    given = parser.parse_args(arguments)
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix="trust-") as directory:
        return asyncio.run(measure(given.rate, given.seconds, given.rotations, Path(directory)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
