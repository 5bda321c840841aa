"""Issue 6: a long time at 70 % of what one core can do, reloads, a backend that comes and goes; memory stays flat."""

import asyncio
import contextlib
import os
import signal
import statistics
import time
from dataclasses import dataclass, field
from functools import partial

from gateway.testing.process import Process, free_ports
from loadtest.measure import cpu_seconds, memory
from loadtest.proofs.figure import Figure, at_most
from loadtest.proofs.load import load, stretch
from loadtest.proofs.plan import Plan
from loadtest.proofs.site import Site, nginx, site
from tests.flows.trust_scene import ROUTES

SHARE = 0.7
FLAT = 8.0  # MiB that the last quarter may be above the second one
_TRIAL = 5.0  # seconds in which a request's cost is measured
_RELOAD, _RESTART = 10.0, 15.0  # seconds between two
_GONE = 1.0  # seconds without the second backend
_EXCUSED = 0.5  # seconds after its end in which a request may be answered 502: retries have a budget
_MIB = 1 << 20
_RETRIED = (
    "retries: {{attempts: 2, on: [connect_failure, refused_stream, reset], budget: 100%}}, "
    "health_check: {{path: /, interval: 500ms, timeout: 500ms, healthy: 1, unhealthy: 1}}"
)
_TWO = ROUTES.replace('["{stock}"]', f'["{{stock}}", "https://127.0.0.1:@"], {_RETRIED}')


@dataclass
class Trouble:
    """What is done to the gateway and its backends, and what its memory was."""

    held: Site
    reloads: list[int] = field(default_factory=list)  # exit codes
    restarts: list[float] = field(default_factory=list)  # time.monotonic
    sizes: list[tuple[float, float]] = field(default_factory=list)  # time.monotonic, MiB

    async def reload(self) -> None:
        config = self.held.gateway.folder / "routes.yaml"
        text = config.read_text()
        while True:
            await asyncio.sleep(_RELOAD)
            config.write_text(f"{text}rate_limits: {{unused: {{rate: {len(self.reloads) % 7 + 1}/second}}}}\n")
            self.reloads.append(await self.held.cli("reload"))

    async def restart(self, second: "Second") -> None:
        """End the second backend, kill it every other time, and start it again."""
        while True:
            await asyncio.sleep(_RESTART)
            self.restarts.append(time.monotonic())
            await second.stop(signal.SIGKILL if len(self.restarts) % 2 else signal.SIGTERM)
            await asyncio.sleep(_GONE)
            await second.start()

    async def watch(self) -> None:
        while True:
            size = await asyncio.to_thread(lambda: memory(self.held.pid).private / _MIB)
            self.sizes.append((time.monotonic(), size))
            await asyncio.sleep(1.0)


class Second:
    """The backend that comes and goes."""

    def __init__(self, held: Site, port: int, counts: int, plain: int) -> None:
        self._made = partial(nginx, held.gateway.folder / "second", held.certs.path, port, counts, plain)
        self._held = contextlib.ExitStack()
        self._process: Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.to_thread(self._held.enter_context, self._made())

    async def stop(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.alive():
            os.killpg(self._process.popen.pid, number)
        await asyncio.to_thread(self._held.close)


async def soak(plan: Plan) -> list[Figure]:
    """`plan.soak` seconds."""
    port, counts, plain = free_ports(3)
    async with site(plan.folder, routes=_TWO.replace("@", str(port))) as held:
        trouble, second = Trouble(held), Second(held, port, counts, plain)
        await second.start()
        try:
            rate = await _capacity(held, plan.rate) * SHARE
            rate = await _capacity(held, rate) * SHARE  # busier, a request costs less
            async with load([held.gateway.edge], held.mix(), rate, ca=held.ca, connections=64, fresh=200) as steady:
                doings = trouble.reload(), trouble.restart(second), trouble.watch()
                tasks = [asyncio.create_task(each) for each in doings]
                spent = cpu_seconds(held.pid)
                began, ended = await stretch(plan.soak)
                busy = (cpu_seconds(held.pid) - spent) / (ended - began)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await second.stop(signal.SIGTERM)
        early, late = (_mean(trouble.sizes, began, ended, part) for part in ((0.25, 0.5), (0.75, 1.0)))
        sizes = [size for _, size in trouble.sizes]
        note = f"{early:.1f} to {late:.1f} MiB, most {max(sizes):.1f}; {busy:.0%} of a core"
        whole, excused = steady.all(), [steady.between(at, at + _EXCUSED) for at in trouble.restarts]
        lost = sum(one.failed["502"] for one in excused)
        return [
            at_most("soak", f"{plan.soak:g} s at {rate:.0f} requests/s: failed", whole.lost - lost, 0, note=str(whole)),
            at_most("soak", f"502 within {_EXCUSED:g} s of a backend's end", lost / max(1, len(whole.waits)), 0.001),
            at_most("soak", "growth of memory", late - early, FLAT, "MiB", note),
            at_most("soak", "reloads refused", sum(map(bool, trouble.reloads)), 0, note=f"of {len(trouble.reloads)}"),
            Figure("soak", "restarts of a backend", len(trouble.restarts), "", "≥ 1", len(trouble.restarts) >= 1),
        ]


async def _capacity(held: Site, rate: float) -> float:
    """Requests a second at which one core would be busy, by the CPU time of one request."""
    async with load([held.gateway.edge], held.mix(), rate, ca=held.ca) as steady:
        await stretch(2.0)
        spent = cpu_seconds(held.pid)
        began, ended = await stretch(_TRIAL)
        spent = cpu_seconds(held.pid) - spent
    return len(steady.between(began, ended).waits) / spent


def _mean(sizes: list[tuple[float, float]], began: float, ended: float, part: tuple[float, float]) -> float:
    low, high = (began + (ended - began) * share for share in part)
    return statistics.fmean(size for at, size in sizes if low <= at <= high)
