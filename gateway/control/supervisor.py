"""`--workers N`: a parent that opens the sockets, forks the workers and keeps them running.

Rule: the parent never runs an event loop, so that it can fork at any time: a worker starts in milliseconds and shares
its code's memory. Signals are waited for, not handled.
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
from dataclasses import dataclass

from gateway.config.schema import Config
from gateway.control.worker import Sockets, open_sockets

log = logging.getLogger(__name__)

STOP_SECONDS = 28.0  # a little more than a worker's own drain
_AWAITED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_FIRST_PAUSE = 0.1  # seconds before a worker that died is replaced; doubled each time it dies young
_LONGEST_PAUSE = 10.0
_YOUNG = 10.0  # seconds
UNUSABLE = 2  # the exit code of a worker that cannot be started: another try would not help


@dataclass(slots=True)
class Child:
    """One process that should be running."""

    name: str
    start: Callable[[int], int]  # runs it, given the lifeline; returns the exit code
    pid: int | None = None
    began: float = 0.0
    deaths: int = 0  # young ones in a row
    again: float | None = None  # when to start it


class Supervisor:
    """The parent of the workers, and of the admin process where there is one."""

    def __init__(self, children: Sequence[Child], close: Callable[[], None], on_hangup: Callable[[], None]) -> None:
        """`close`: give up the parent's copies of the sockets. `on_hangup`: SIGHUP came; workers have it already."""
        self._children = children
        self._close = close
        self._on_hangup = on_hangup
        self._stopping: float | None = None  # when the stop began
        self._code = 0
        self._lifeline = os.pipe()

    def run(self) -> int:
        """Until told to stop, or until the workers cannot be started; returns the exit code."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # in a child: until it listens to it, the signal must not end it
        gc.freeze()  # what is loaded by now is never collected: collecting would copy the shared pages
        try:
            for child in self._children:
                self._fork(child, before)
            while any(child.pid is not None for child in self._children) or self._stopping is None:
                self._take(signal.sigtimedwait(_AWAITED, self._patience()))
                self._start_again(before)
        finally:
            self._kill(signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._code

    def _take(self, info: signal.struct_siginfo | None) -> None:
        if info is not None and info.si_signo == signal.SIGHUP:
            self._kill(signal.SIGHUP)
            self._on_hangup()
        elif info is not None and info.si_signo in (signal.SIGTERM, signal.SIGINT):
            self._stop(130 if info.si_signo == signal.SIGINT else 0)
        self._reap()
        if self._stopping is not None and time.monotonic() - self._stopping > STOP_SECONDS:
            log.error("workers did not end in time: killed")
            self._kill(signal.SIGKILL)

    def _stop(self, code: int) -> None:
        if self._stopping is None:
            self._stopping = time.monotonic()
            self._code = code
            self._close()
        self._kill(signal.SIGTERM)

    def _reap(self) -> None:
        for child in self._children:
            if child.pid is None:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                child.pid = None
                self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, code: int) -> None:
        if self._stopping is not None:
            return
        if code == UNUSABLE and not child.deaths and time.monotonic() - child.began < _YOUNG:
            self._stop(UNUSABLE)  # it said why
        elif code == 0:
            self._stop(0)  # it was told to drain: so is the whole
        else:
            young = time.monotonic() - child.began < _YOUNG
            child.deaths = child.deaths + 1 if young else 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (child.deaths - 1))
            child.again = time.monotonic() + pause
            log.error("%s ended with %d: starting it again in %.1f s", child.name, code, pause)

    def _start_again(self, mask: set[int | signal.Signals]) -> None:
        for child in self._children:
            if child.again is not None and self._stopping is None and time.monotonic() >= child.again:
                child.again = None
                self._fork(child, mask)

    def _patience(self) -> float:
        """Seconds until something is due without a signal."""
        due = [child.again for child in self._children if child.again is not None]
        if self._stopping is not None:
            due = [self._stopping + STOP_SECONDS]
        return max(0.0, min(due) - time.monotonic()) + 0.01 if due else 3600.0

    def _fork(self, child: Child, mask: set[int | signal.Signals]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            child.pid, child.began = pid, time.monotonic()
            return
        code = 1
        try:
            os.close(self._lifeline[1])
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            code = child.start(self._lifeline[0])
        except Exception:
            log.exception("%s failed", child.name)
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)  # never back into the parent's stack

    def _kill(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)


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
        """In the parent: the workers' copies are the last ones now."""
        for sockets in self._all:
            _close(sockets)


def _close(sockets: Sockets) -> None:
    for one in sockets.values():
        one.close()
