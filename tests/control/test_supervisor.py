"""The parent of the workers, with children that only pretend to be workers."""

import errno
import select
import signal
import socket
import sys
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.control.supervisor import WorkerSockets
from gateway.testing.process import Process, running
from gateway.testing.wait import BOUND, wait_for

# A supervisor over two children; each does what the file of its name says.
SCRIPT = """
import logging, os, signal, sys, time
from pathlib import Path
from gateway.control.supervisor import Child, Supervisor

logging.basicConfig(format="%(message)s")
here = Path(sys.argv[1])

def say(line):
    os.write(1, f"{line}\\n".encode())  # at once: what print() writes is two pieces, and others write between them

def child(name):
    def start(post):
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, lambda number, frame: note(name, number))
        with (here / "began").open("a") as file:
            file.write(f"{name} {os.getpid()}\\n")
        if (here / "serving").exists():
            post.serving()
        while not os.get_inheritable(post.lifeline):
            order = (here / name).read_text()
            if order:
                (here / name).write_text("")
                if order == "raise":
                    raise RuntimeError("on purpose")
                return int(order)
            time.sleep(0.01)
    return start

def note(name, number):
    say(f"{name} {signal.Signals(number).name}")
    if number != signal.SIGHUP and not (number == signal.SIGTERM and (here / "slow").exists()):
        os._exit(0)

closed = lambda: say("closed")
code = Supervisor([Child("a", child("a")), Child("b", child("b"))], closed, lambda: say("reload")).run()
say(f"end {code}")
sys.exit(code)
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "script.py").write_text(SCRIPT)
    for name in ("a", "b", "began"):
        (tmp_path / name).write_text("")
    return tmp_path


def supervised(here: Path):  # type: ignore[no-untyped-def] # a context manager
    env = {"PYTHONPATH": ":".join(sys.path)}
    return running([sys.executable, str(here / "script.py"), str(here)], here / "log", env=env)


def began(here: Path) -> list[str]:
    """Which children began, in order."""
    return [line.split()[0] for line in (here / "began").read_text().splitlines()]


def started(process: Process, here: Path) -> None:
    process.wait_for(lambda: len(began(here)) == 2, what="both children")


def test_signals_are_forwarded_and_the_parent_reloads_too(here: Path) -> None:
    with supervised(here) as process:
        started(process, here)
        process.signal(signal.SIGHUP)
        wait_for(lambda: {"a SIGHUP", "b SIGHUP", "reload"} <= set(process.output.splitlines()))
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        lines = process.output.splitlines()
        assert lines.index("closed") < min(lines.index("a SIGTERM"), lines.index("b SIGTERM"))
        assert lines[-1] == "end 0"


@pytest.mark.parametrize("how", ["1", "raise"])
def test_a_child_that_dies_is_started_again_later_each_time(here: Path, how: str) -> None:
    with supervised(here) as process:
        started(process, here)
        for times in (1, 2):
            (here / "a").write_text(how)
            process.wait_for(lambda times=times: began(here).count("a") == times + 1, what="another start")
        assert began(here).count("b") == 1
        assert "a ended with 1: starting it again in 0.1 s" in process.output
        assert "a ended with 1: starting it again in 0.2 s" in process.output


def test_a_child_that_ends_cleanly_was_told_to_drain_and_so_is_the_whole(here: Path) -> None:
    with supervised(here) as process:
        started(process, here)
        (here / "a").write_text("0")
        assert process.wait() == 0
        assert "b SIGTERM" in process.output


def test_a_child_that_cannot_be_started_ends_the_whole(here: Path) -> None:
    with supervised(here) as process:
        started(process, here)
        (here / "b").write_text("2")
        assert process.wait() == 2
        assert "a SIGTERM" in process.output


def test_told_twice_the_children_are_cut_short(here: Path) -> None:
    (here / "slow").touch()
    with supervised(here) as process:
        started(process, here)
        process.signal(signal.SIGTERM)
        wait_for(lambda: {"a SIGTERM", "b SIGTERM"} <= set(process.output.splitlines()))
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert {"a SIGQUIT", "b SIGQUIT"} <= set(process.output.splitlines())


def test_children_are_replaced_one_after_another_once_the_successor_serves(here: Path) -> None:
    with supervised(here) as process:
        started(process, here)
        process.signal(signal.SIGUSR2)
        process.wait_for(lambda: began(here).count("a") == 2, what="the successor of a")
        assert began(here).count("b") == 1  # not yet: that one does not serve
        assert "SIGTERM" not in process.output
        (here / "a").write_text("3")  # whichever of both reads it
        process.wait_for(lambda: "ended with 3" in process.output, what="an end")
    (here / "serving").touch()
    (here / "began").write_text("")
    with supervised(here) as process:
        started(process, here)
        process.signal(signal.SIGUSR2)
        process.wait_for(lambda: sorted(began(here)) == ["a", "a", "b", "b"], what="both successors")
        process.wait_for(lambda: process.output.split().count("SIGTERM") == 2, what="the end of those before")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


def test_an_interrupt_says_130(here: Path) -> None:
    with supervised(here) as process:
        started(process, here)
        process.signal(signal.SIGINT)
        assert process.wait() == 130


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere who comes in the moment of the close is reset")
def test_when_all_ends_nobody_gets_into_a_socket_that_a_worker_still_holds(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(
        "version: 1\nlisteners: {edge: {address: '127.0.0.1:0'}}\naudit: {directory: audit}\n"
        "routes: [{name: r, match: {paths: [/]}, public: true, respond: {status: 200}}]\n"
    )
    sockets = WorkerSockets(load(file), 2)
    own = sockets.take(0)["edge"]  # closes the other's
    with own.dup() as held, socket.socket() as client:
        sockets.close()
        client.setblocking(False)
        assert client.connect_ex(held.getsockname()) == errno.EINPROGRESS
        with pytest.raises(BlockingIOError):
            held.accept()
        held.close()
        select.select([], [client], [], BOUND)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED  # and not reset
