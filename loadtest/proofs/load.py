"""The steady client at work, and what its samples say of a stretch of time."""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.job import ROOT
from loadtest.measure import cores, pinned
from loadtest.proofs.client import BROKEN, REFUSED

_NAMES = {BROKEN: "broken off", REFUSED: "refused"}


@dataclass(frozen=True)
class Stretch:
    """What came of the requests that were due in some time."""

    waits: Sequence[float]  # seconds, sorted
    failed: Counter[str]

    @property
    def lost(self) -> int:
        """Requests that were not answered 200."""
        return self.failed.total()

    def share(self, share: float) -> float:
        """Milliseconds within which so many were answered."""
        return self.waits[min(len(self.waits) - 1, int(len(self.waits) * share))] * 1000 if self.waits else float("nan")

    def __str__(self) -> str:
        lost = ", ".join(f"{what}: {count}" for what, count in sorted(self.failed.items())) or "none failed"
        return f"{len(self.waits)} requests, p50 {self.share(0.5):.1f} ms, p99 {self.share(0.99):.1f} ms, {lost}"


@dataclass
class Load:
    """Requests at a steady rate; the samples are there when its context is left."""

    process: asyncio.subprocess.Process
    output: Path
    samples: "array[float]" = field(default_factory=lambda: array("d"))

    async def ask(self, requests: Sequence[str]) -> None:
        """Go on with other requests."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(requests).encode() + b"\n")
        await self.process.stdin.drain()

    def between(self, began: float, ended: float) -> Stretch:
        """The requests that were due then (time.monotonic)."""
        waits, failed = [], Counter[str]()
        for at in range(0, len(self.samples), 3):
            due, took, status = self.samples[at : at + 3]
            if began <= due < ended:
                waits.append(took)
                if status != 200:
                    failed[_NAMES.get(status, str(int(status)))] += 1
        return Stretch(sorted(waits), failed)

    def all(self) -> Stretch:
        """All of them."""
        return self.between(0.0, float("inf"))


@contextlib.asynccontextmanager
async def load(
    ports: Sequence[int],
    requests: Sequence[str],
    rate: float,
    *,
    ca: Path | None = None,
    connections: int = 32,
    fresh: int = 0,
) -> AsyncGenerator[Load]:
    """Ask while the context is open. `ca`: of the certificate of the ports; None: they are plain."""
    with tempfile.TemporaryDirectory(prefix="proofs-") as directory:
        output = Path(directory) / "samples"
        command = pinned(cores()[1], [sys.executable, "-m", "loadtest.proofs.client", str(output)])
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
        assert process.stdin is not None
        assert process.stdout is not None
        at_work = Load(process, output)
        try:
            job = {
                "ports": list(ports),
                "requests": list(requests),
                "rate": rate,
                "connections": connections,
                "fresh": fresh,
                "ca": str(ca) if ca is not None else None,
            }
            process.stdin.write(json.dumps(job).encode() + b"\n")
            if await process.stdout.readline() != b"ready\n":
                raise RuntimeError("the load client did not start")
            yield at_work
            process.stdin.close()
            await process.wait()
            at_work.samples.frombytes(output.read_bytes())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def stretch(seconds: float) -> tuple[float, float]:
    """Let some time pass: its begin and end."""
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return began, time.monotonic()
