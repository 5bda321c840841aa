"""`--workers N`: a parent that opens the sockets, forks the workers and keeps them running.

Rule: the parent never runs an event loop, so that it can fork at any time: a worker starts in milliseconds and shares
its code's memory. Signals are waited for, not handled. A worker that is told to end has a successor at once, on the
same sockets; SIGUSR2 replaces all workers so, one after another, each by one that serves already.
Invariant: each worker has its own SO_REUSEPORT socket, which the parent keeps open: the kernel spreads connections, and
those that wait for a worker that died are answered by its successor. The parent first binds without SO_REUSEPORT,
so that a port in use is found even where another gateway of ours holds it.
"""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.config.schema import Config
from gateway.control.worker import Sockets, open_sockets
from gateway.server.acceptor import deafen

log = logging.getLogger(__name__)

STOP_SECONDS = 28.0  # a little more than a worker's own drain
_SERVING, _LEAVING, _RELOADED, _DRAINING = (signal.SIGRTMIN + which for which in range(4))  # of a child; they queue
_TOLD = {_SERVING, _LEAVING, _RELOADED, _DRAINING}
_AWAITED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD, *_TOLD}
_FIRST_PAUSE = 0.1  # seconds before a worker that died is replaced; doubled each time it dies young
_LONGEST_PAUSE = 10.0
_YOUNG = 10.0  # seconds
UNUSABLE = 2  # the exit code of a worker that cannot be started: another try would not help


@dataclass(frozen=True, slots=True)
class Post:
    """What one process of a child is given."""

    lifeline: int  # a pipe that ends with the supervisor
    seat: int  # which of the processes of this child that are alive it is: a predecessor that drains has another
    supervisor: int  # process id

    def serving(self) -> None:
        """Say that it accepts connections."""
        self._tell(_SERVING)

    def leaving(self) -> None:
        """Say that it was told to end: its place is free."""
        self._tell(_LEAVING)

    def draining(self) -> None:
        """Say that it was told to drain, and with it the whole."""
        self._tell(_DRAINING)

    def reloaded(self) -> None:
        """Say that all workers have taken over a file."""
        self._tell(_RELOADED)

    def _tell(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.supervisor, number)


@dataclass(slots=True)
class Child:
    """One process that should be running, and those that it replaces or is replaced by."""

    name: str
    start: Callable[[Post], int]  # runs it; returns the exit code
    serves: bool = True  # it answers requests: replaced one after another, and told to end before those that do not
    pid: int | None = None
    began: float = 0.0
    deaths: int = 0  # young ones in a row
    again: float | None = None  # when to start it
    successor: int | None = None  # process id, until it serves
    ending: set[int] = field(default_factory=set)  # process ids of those that drain
    seats: dict[int, int] = field(default_factory=dict)  # by process id

    def pids(self) -> set[int]:
        """All that are alive."""
        return set(self.seats)

    def gone(self, pid: int) -> None:
        """A process ended."""
        del self.seats[pid]
        self.ending.discard(pid)
        if self.pid == pid:
            self.pid = None
        if self.successor == pid:
            self.successor = None


class Supervisor:
    """The parent of the workers, and of the admin process where there is one."""

    def __init__(self, children: Sequence[Child], close: Callable[[], None], on_reload: Callable[[], None]) -> None:
        """`close`: give up the parent's copies of the sockets. `on_reload`: workers read the file again; so do we."""
        self._children = children
        self._close = close
        self._on_reload = on_reload
        self._stopping: float | None = None  # when the stop began
        self._code = 0
        self._lifeline = os.pipe()
        self._rolling: list[Child] = []  # whose turn to be replaced comes
        self._mask: set[int | signal.Signals] = set()  # what was blocked before

    def run(self) -> int:
        """Until told to stop, or until the workers cannot be started; returns the exit code."""
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
        for number in (signal.SIGHUP, signal.SIGUSR2):  # in a child, until it listens to it: it must not end it
            signal.signal(number, signal.SIG_IGN)
        gc.freeze()  # what is loaded by now is never collected: collecting would copy the shared pages
        try:
            for child in self._children:
                child.pid = self._fork(child)
            while any(child.seats for child in self._children) or self._stopping is None:
                self._take(signal.sigtimedwait(_AWAITED, self._patience()))
                self._start_again()
                self._roll()
        finally:
            self._kill(signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        return self._code

    def _take(self, info: signal.struct_siginfo | None) -> None:
        number = info.si_signo if info is not None else 0
        if number == signal.SIGHUP:
            self._kill(signal.SIGHUP)
            self._on_reload()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stop(130 if number == signal.SIGINT else 0)
        elif number == signal.SIGUSR2:
            self._rolling = [child for child in self._children if child.serves]
        while info is not None:  # what workers said is heard before their ends are seen
            if self._stopping is None and info.si_signo == _SERVING:
                self._serves(info.si_pid)
            elif self._stopping is None and info.si_signo == _LEAVING:
                self._leaves(info.si_pid)
            elif self._stopping is None and info.si_signo == _RELOADED:
                self._on_reload()
            elif self._stopping is None and info.si_signo == _DRAINING:
                self._stop(0)
            info = signal.sigtimedwait(_TOLD, 0)
        self._reap()
        if self._stopping is not None and time.monotonic() - self._stopping > STOP_SECONDS:
            log.error("workers did not end in time: killed")
            self._kill(signal.SIGKILL)

    def _stop(self, code: int) -> None:
        if self._stopping is None:
            self._stopping = time.monotonic()
            self._code = code
            self._close()
            self._kill(signal.SIGTERM, serving=True)
        else:
            self._kill(signal.SIGQUIT, serving=True)  # told twice: cut short

    def _reap(self) -> None:
        for child in self._children:
            for one in child.pids():
                pid, status = os.waitpid(one, os.WNOHANG)
                if pid:
                    self._ended(child, pid, os.waitstatus_to_exitcode(status))
        if self._stopping is not None and not any(child.seats for child in self._children if child.serves):
            self._kill(signal.SIGTERM)  # who answers for the workers goes last

    def _ended(self, child: Child, pid: int, code: int) -> None:
        ending, successor = pid in child.ending, pid == child.successor
        child.gone(pid)
        if self._stopping is not None or ending:
            return
        if successor:
            log.error("the successor of %s ended with %d: workers are replaced no further", child.name, code)
            self._rolling.clear()
        elif code == UNUSABLE and not child.deaths and time.monotonic() - child.began < _YOUNG:
            self._stop(UNUSABLE)  # it said why
        elif code == 0:
            self._stop(0)  # it was told to drain: so is the whole
        elif child.successor is not None:
            log.error("%s ended with %d: its successor takes its place", child.name, code)
        if child.pid is None and child.successor is None and self._stopping is None:
            young = time.monotonic() - child.began < _YOUNG
            child.deaths = child.deaths + 1 if young else 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (child.deaths - 1))
            child.again = time.monotonic() + pause
            log.error("%s ended with %d: starting it again in %.1f s", child.name, code, pause)

    def _start_again(self) -> None:
        for child in self._children:
            if child.again is not None and self._stopping is None and time.monotonic() >= child.again:
                child.again = None
                child.pid = self._fork(child)

    # One for another

    def _roll(self) -> None:
        """Make the next successor, once the one before serves."""
        if self._rolling and self._stopping is None and not any(child.successor for child in self._children):
            child = self._rolling.pop(0)
            if child.pid is not None:
                log.info("%s is replaced", child.name)
                child.successor = self._fork(child)

    def _serves(self, pid: int) -> None:
        for child in self._children:
            if child.successor == pid:
                child.successor, before = None, child.pid
                child.pid, child.deaths = pid, 0
                if before is not None:
                    child.ending.add(before)
                    os.kill(before, signal.SIGTERM)

    def _leaves(self, pid: int) -> None:
        """Somebody told a worker alone to end: its sockets have no one until another is there."""
        for child in self._children:
            if child.pid == pid:
                child.ending.add(pid)
                child.pid, child.successor = child.successor, None
                if child.pid is None:
                    log.info("%s was told to end: another takes its place", child.name)
                    child.again = time.monotonic()

    def _patience(self) -> float:
        """Seconds until something is due without a signal."""
        due = [child.again for child in self._children if child.again is not None]
        if self._stopping is not None:
            due = [self._stopping + STOP_SECONDS]
        return max(0.0, min(due) - time.monotonic()) + 0.01 if due else 3600.0

    def _fork(self, child: Child) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        seat = min(set(range(len(child.seats) + 1)) - set(child.seats.values()))
        post = Post(self._lifeline[0], seat, os.getpid())
        pid = os.fork()
        if pid:
            child.began = time.monotonic()
            child.seats[pid] = seat
            return pid
        code = 1
        try:
            os.close(self._lifeline[1])
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            code = child.start(post)
        except Exception:
            log.exception("%s failed", child.name)
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)  # never back into the parent's stack

    def _kill(self, number: signal.Signals, *, serving: bool = False) -> None:
        """Send it to all processes, or to those that serve."""
        for child in self._children:
            for pid in child.pids():
                if child.serves or not serving:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)


class WorkerSockets:
    """The listening sockets of all workers, opened before the first fork."""

    def __init__(self, config: Config, workers: int) -> None:
        """Raises OSError, naming the address in one line."""
        probes = open_sockets(config)
        ports = {name: probe.getsockname()[1] for name, probe in probes.items()}
        for probe in probes.values():
            probe.close()
        listeners = {
            name: listener.replace(address=type(listener.address)(listener.address.host, ports[name]))
            for name, listener in config.listeners.items()
        }
        fixed = config.replace(listeners=listeners)  # port 0 is one port for all workers
        self._all: list[dict[str, socket.socket]] = [open_sockets(fixed, shared=True) for _ in range(workers)]

    def take(self, number: int) -> Sockets:
        """In a child: its own sockets; the others' are closed here, so that they end with their workers."""
        for other, sockets in enumerate(self._all):
            if other != number:
                _close(sockets)
        return self._all[number] if number >= 0 else {}

    def close(self) -> None:
        """In the parent, when all ends: nobody gets in any more, and the workers' copies are the last ones."""
        for sockets in self._all:
            for one in sockets.values():
                deafen(one)
            _close(sockets)


def _close(sockets: Sockets) -> None:
    for one in sockets.values():
        one.close()
