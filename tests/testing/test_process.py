"""Processes that start, are waited for, and are gone afterwards."""

import os
import signal
import sys
from pathlib import Path

import pytest

from gateway.testing.process import free_port, free_ports, listening, running
from gateway.testing.wait import wait_for

LISTEN = (
    "import socket,sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "print('up', flush=True); s.accept(); s.accept()"
)
PARENT = "import os,signal\nchild = os.fork()\nprint(child or os.getpid(), flush=True)\nsignal.pause()"


def test_a_process_is_waited_for_and_gone_afterwards(tmp_path: Path) -> None:
    port = free_port()
    with running([sys.executable, "-c", LISTEN, str(port)], tmp_path / "log") as process:
        process.wait_for(lambda: listening(port), what="the port to be open")
        assert process.alive()
        assert process.output == "up\n"
    assert not process.alive()
    assert not listening(port)


def test_children_go_with_their_parent(tmp_path: Path) -> None:
    with running([sys.executable, "-c", PARENT], tmp_path / "log") as process:
        process.wait_for(lambda: process.output.count("\n") == 2, what="both to speak")
        child = next(pid for line in process.output.split() if (pid := int(line)) != process.popen.pid)
        os.kill(child, 0)
    wait_for(lambda: not _exists(child), what="the child to be gone")


def test_a_process_that_ends_early_says_what_it_had_to_say(tmp_path: Path) -> None:
    with (
        running([sys.executable, "-c", "print('port in use'); raise SystemExit(3)"], tmp_path / "log") as process,
        pytest.raises(RuntimeError, match=r"ended with 3 before the port(.|\n)*port in use"),
    ):
        process.wait_for(lambda: False, what="the port")


def test_a_condition_that_never_holds_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"the moon to fall did not come about within 0.05 s"):
        wait_for(lambda: False, seconds=0.05, what="the moon to fall")


def test_signals_and_environment_reach_the_process(tmp_path: Path) -> None:
    script = "import os,signal; print(os.environ['GREETING'], flush=True); signal.pause()"
    with running([sys.executable, "-c", script], tmp_path / "log", env={"GREETING": "hello"}) as process:
        process.wait_for(lambda: "hello" in process.output)
        process.signal(signal.SIGINT)
        assert process.wait() != 0


def test_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and ") Z " in state.read_text())  # a zombie waits for a reaper that is not ours
