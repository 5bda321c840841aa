"""Real processes for tests and the demo: started, waited for, and always gone afterwards.

Rule: wait for a condition with a bound, never for a time.
Invariant: leaving `running()` ends the whole process group, also one that ignores SIGTERM.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.testing.wait import BOUND, wait_for

_PORTS = range(12000, 32000)  # below what Linux, macOS and IANA call ephemeral
_GRACE = 20.0  # seconds that a process has after SIGTERM


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now. Another process may take it before you do: bind soon."""
    return free_ports(1, host)[0]


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Several ports, all different, none of those that the kernel itself hands out: they would be gone soonest."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            probe = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            port = random.choice(_PORTS)  # noqa: S311 - spreads those who ask at the same time
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                found.append(port)
    return found


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """True when a connection to the port is taken."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


@dataclass
class Process:
    """A started process whose output goes to a file."""

    popen: subprocess.Popen[bytes]
    log: Path
    command: Sequence[str] = field(repr=False)

    @property
    def output(self) -> str:
        """What it has written to stdout and stderr so far."""
        return self.log.read_text(errors="replace")

    def alive(self) -> bool:
        """True while it runs."""
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself (not to its children)."""
        self.popen.send_signal(number)

    def wait(self, seconds: float = BOUND) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        return self.popen.wait(seconds)

    def wait_for(self, condition: Callable[[], object], *, seconds: float = BOUND, what: str = "the condition") -> None:
        """As `wait_for`, but a process that ends first raises RuntimeError with what it had to say."""

        def held() -> bool:
            if condition():
                return True
            if not self.alive():
                raise RuntimeError(
                    f"{self.command[0]} ended with {self.popen.returncode} before {what}:\n{self.output}"
                )
            return False

        wait_for(held, seconds=seconds, what=what)

    def stop(self) -> int:
        """SIGTERM, a grace, then SIGKILL for the whole group; returns the exit code."""
        if self.alive():
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(_GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)  # children that outlived it
        return self.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Generator[Process]:
    """Start a command in its own process group, its output in `log`; `env` is added to our own environment."""
    with log.open("wb") as output:
        popen = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    process = Process(popen, log, command)
    try:
        yield process
    finally:
        process.stop()
