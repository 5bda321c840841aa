"""Issue 6: reloads, drains and rolling restarts under steady load, some of it over new connections. Nothing fails."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from gateway.testing.wait import until
from loadtest.measure import tree
from loadtest.proofs.figure import Figure, at_most, none_failed
from loadtest.proofs.load import load, stretch
from loadtest.proofs.plan import Plan
from loadtest.proofs.site import Site, replica, site

_FRESH = 20  # every so many requests one goes over a new connection


async def reload(plan: Plan) -> list[Figure]:
    """`gateway reload`, each time with a file that changed, and once by SIGHUP with one that did not."""
    async with site(plan.folder) as held:
        async with load([held.gateway.edge], held.mix(), plan.rate, ca=held.ca, fresh=_FRESH) as steady:
            config = held.gateway.folder / "routes.yaml"
            text, codes = config.read_text(), list[int]()
            for turn in range(plan.turns):
                config.write_text(f"{text}rate_limits: {{unused: {{rate: {turn + 1}/second}}}}\n")
                codes.append(await held.cli("reload"))
                await stretch(0.3)
            held.gateway.process.signal(signal.SIGHUP)
            await held.comes(plan.turns + 1, "config_reloads_total", result="success")
            await stretch(0.3)
        return [
            at_most("reload", "reloads refused", sum(map(bool, codes)), 0),
            none_failed("reload", f"{plan.turns} reloads", steady.all()),
        ]


async def rolling(plan: Plan) -> list[Figure]:
    """Two workers, replaced one after another: all by SIGUSR2, and each by a SIGTERM of its own."""
    figures = []
    async with site(plan.folder, "--workers", "2") as held:
        for what in ("SIGUSR2", "SIGTERM to each worker"):
            async with load([held.gateway.edge], held.mix(), plan.rate, ca=held.ca, fresh=_FRESH) as steady:
                await stretch(1.0)
                for _ in range(max(1, plan.turns // 3)):
                    before = _workers(held)
                    if what == "SIGUSR2":
                        held.gateway.process.signal(signal.SIGUSR2)
                    else:
                        for pid in before:
                            os.kill(pid, signal.SIGTERM)
                            await until(lambda pid=pid: len(_workers(held) - {pid}) == 2, what="its successor")  # type: ignore[misc]
                    await until(lambda before=before: len(_workers(held) - before) == 2, what="two successors")  # type: ignore[misc]
                    await until(lambda before=before: not _workers(held) & before, what="the end of both")  # type: ignore[misc]
                await stretch(1.0)
            figures.append(none_failed("rolling", f"two workers replaced by {what}", steady.all()))
    return figures


async def drain(plan: Plan) -> list[Figure]:
    """Two gateways behind a client that leaves a port where nobody listens: each drained and started again in turn."""
    async with site(plan.folder) as held:
        gateways = contextlib.ExitStack(), contextlib.ExitStack()
        try:
            served = [
                await asyncio.to_thread(each.enter_context, replica(held, name))
                for each, name in zip(gateways, "ab", strict=True)
            ]
            ports = [one.edge for one in served]
            ends = []
            async with load(ports, held.mix(), plan.rate, ca=held.ca, fresh=_FRESH) as steady:
                await stretch(1.0)
                for turn in range(max(2, plan.turns // 2)):
                    which = turn % 2
                    process = served[which].process
                    process.signal(signal.SIGTERM)
                    ends.append(await asyncio.to_thread(process.wait))
                    again = replica(held, "ab"[which], (served[which].edge, served[which].admin))
                    served[which] = await asyncio.to_thread(gateways[which].enter_context, again)
                    await stretch(0.3)
        finally:
            for each in gateways:
                await asyncio.to_thread(each.close)
        return [
            none_failed("drain", f"{len(ends)} drains by SIGTERM, two gateways in turn", steady.all()),
            at_most("drain", "gateways that did not end with 0", sum(map(bool, ends)), 0),
        ]


def _workers(held: Site) -> set[int]:
    """Process ids of those that write an audit stream."""
    audit, found = held.gateway.folder / "audit", set()
    for pid in tree(held.pid):
        with contextlib.suppress(OSError):
            if any(link.readlink().is_relative_to(audit) for link in Path(f"/proc/{pid}/fd").iterdir()):
                found.add(pid)
    return found
