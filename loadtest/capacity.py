"""How much is needed for how many requests: `python -m loadtest.capacity [RUN.json] [--rate R …]`.

The model is one of CPU time: what a request, a full and a resumed handshake cost one core is measured by a run, and
cores are added until what is asked for takes no more than a share of them: above it queues grow. Workers share nothing
but the machine (each has its own socket and loop): neighbours make a request dearer by one share, measured with one
and two workers, whose rates the model then has to tell. How it grows on large machines no run of ours has shown.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from loadtest.results import Recorded, Run, last, read

RATES = (10_000, 100_000, 1_000_000)
WORKERS = "worker"


@dataclass(frozen=True)
class Costs:
    """What things cost; CPU in microseconds of one core."""

    request: float
    handshake: float = 0.0  # full
    resumed: float = 0.0
    store: float = 0.0  # of the store's CPU, a request
    contention: float = 0.0  # share by which a request is dearer where more than one worker runs
    connection: float = 0.0  # kB that an idle connection holds
    worker: float = 60.0  # MB that a worker holds besides

    def with_workers(self, workers: int) -> float:
        """Of a request on a machine with so many workers."""
        return self.request * (1 + self.contention) if workers > 1 else self.request


@dataclass(frozen=True)
class Demand:
    """What is asked for."""

    rate: float  # requests a second
    new: float = 0.01  # of the requests, the share that comes over a new connection
    resuming: float = 0.8  # of the new connections, the share that takes up a session
    open: float = 0.1  # connections that are open, by requests a second


@dataclass(frozen=True)
class Layout:
    """How it is laid out."""

    cores: int = 8  # of a replica, a worker each
    busy: float = 0.6  # share of a core that may be used
    spare: float = 1 / 3  # of the replicas, what may fail at once: a zone of three


@dataclass(frozen=True)
class Plan:
    """What is needed."""

    cores: float  # that are busy, before any headroom
    replicas: int
    shards: int  # of the store, one core each
    handshakes: float  # a second, full
    resumed: float
    memory: float  # MB of a replica


def most(costs: Costs, workers: int, cores: int, around: float = 0.0) -> float:
    """Requests a second that workers on one machine answer at most.

    `around`: CPU microseconds a request of what else runs on the same cores (load and backend, in a benchmark).
    """
    each = costs.with_workers(workers)
    return min(min(workers, cores) * 1e6 / each, cores * 1e6 / (each + around))


def plan(demand: Demand, costs: Costs, layout: Layout) -> Plan:
    """Cores, replicas and shards for a demand. Raises ZeroDivisionError for a layout without cores."""
    opened = demand.rate * demand.new
    full, resumed = opened * (1 - demand.resuming), opened * demand.resuming
    requests = demand.rate * costs.with_workers(layout.cores)
    cores = (requests + full * costs.handshake + resumed * costs.resumed) / 1e6
    needed = cores / (layout.cores * layout.busy)
    replicas = ceil(needed / (1 - layout.spare))
    shards = ceil(demand.rate * costs.store / 1e6 / layout.busy)
    held = demand.rate * demand.open / replicas * costs.connection / 1000
    return Plan(cores, replicas, shards, full, resumed, layout.cores * costs.worker + held)


@dataclass(frozen=True)
class Check:
    """A prediction beside what was measured."""

    workers: int
    predicted: float  # requests a second
    measured: float


@dataclass(frozen=True)
class Model:
    """Costs out of a run, and what they are worth."""

    costs: Costs
    checks: list[Check] = field(default_factory=list)


def model(run: Run) -> Model:
    """From what the run measured. Raises ValueError when it lacks the full job."""
    job = run.find("table", "gateway", scenario="full job", variant="Redis store") or run.find("table", "gateway")
    if job is None:
        raise ValueError(f"{run.name} has no row of the table's full job")
    idle = run.find("idle", "gateway")
    one, two = (_workers(run, count) for count in (1, 2))
    costs = Costs(
        request=job.value,
        handshake=_handshake(run, "full handshake"),
        resumed=_handshake(run, "resumed") or _handshake(run, "full handshake"),
        store=float(job.members.get("store_cpu_us", 0.0)),
        contention=max(two.value / one.value - 1, 0.0) if one and two else 0.0,
        connection=idle.value if idle is not None else 0.0,
        worker=float(job.members["private_mb"]),
    )
    return Model(costs, list(_checks(run, costs, [(1, one), (2, two)])))


def _handshake(run: Run, label: str) -> float:
    """What a connection with a client certificate costs above a request over a kept one; 0 when not measured."""
    for case in ("mtls-connections", "connections"):
        kept, new = (run.find(case, "gateway", label=one) for one in ("kept", label))
        if kept is not None and new is not None:
            return new.value - kept.value
    return 0.0


def _workers(run: Run, count: int) -> Recorded | None:
    return run.find("workers", "gateway", label=f"{count} {WORKERS}{'s' * (count > 1)}")


def _checks(run: Run, costs: Costs, rows: list[tuple[int, Recorded | None]]) -> Iterator[Check]:
    """Each row's rate by what one worker's request costs there: rows of one case, on one machine."""
    base = next((row for count, row in rows if count == 1 and row is not None), None)
    for count, row in rows:
        if base is not None and row is not None:
            there = Costs(base.value, contention=costs.contention)
            around = float(row.members["around_cpu_us"])
            predicted = most(there, count, int(run.members["machine"]["cores"]), around)
            yield Check(count, predicted, float(row.members["requests_per_second"]))


def text(run: Run, rates: list[float], layout: Layout) -> str:
    """Costs, check and plans, as Markdown."""
    made = model(run)
    costs = made.costs
    said = (
        f"A request {costs.request:.0f} µs; a full handshake with a client certificate {costs.handshake:,.0f} µs,"
        f" a resumed one {costs.resumed:,.0f} µs; the store {costs.store:.1f} µs a request;"
        f" where more than one worker runs {costs.contention:.0%} more; an idle connection {costs.connection:.0f} kB."
    )
    lines = [
        said,
        "",
        "| workers | predicted requests/s | measured | off by |",
        "|---|---|---|---|",
    ]
    for check in made.checks:
        off = check.predicted / check.measured - 1
        lines.append(f"| {check.workers} | {check.predicted:,.0f} | {check.measured:,.0f} | {off:+.0%} |")
    lines += [
        "",
        "| requests/s | busy cores | replicas | store shards | full handshakes/s | resumed/s | MB a replica |",
        "|---|---|---|---|---|---|---|",
    ]
    for rate in rates:
        need = plan(Demand(rate), costs, layout)
        lines.append(
            f"| {rate:,.0f} | {need.cores:,.0f} | {need.replicas:,} | {need.shards} | {need.handshakes:,.0f}"
            f" | {need.resumed:,.0f} | {need.memory:,.0f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """0, or 2 when there is no run to plan from."""
    usual = Layout()
    parser = argparse.ArgumentParser(prog="python -m loadtest.capacity", description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", help="default: the newest in loadtest/results/")
    parser.add_argument("--rate", type=float, nargs="+", default=RATES, help="requests a second")
    parser.add_argument("--cores", type=int, default=usual.cores, help=f"of a replica, default {usual.cores}")
    parser.add_argument("--busy", type=float, default=usual.busy, help=f"share of a core, default {usual.busy}")
    given = parser.parse_args(arguments)
    file = given.run or last()
    if file is None:
        print("no run is recorded: make bench", file=sys.stderr)
        return 2
    print(text(read(file), list(given.rate), Layout(given.cores, given.busy)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
