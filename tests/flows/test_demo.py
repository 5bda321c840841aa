"""The demo as a newcomer meets it: real processes, real requests, and nothing left behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from gateway.cli.demo.cases import CASES
from gateway.testing.process import Process, listening, running
from gateway.testing.wait import wait_for
from tests.flows.gateway_process import REPOSITORY

DEMO = [sys.executable, "-m", "gateway", "demo"]


def demo(temporary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.run(
        [*DEMO, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=110
    )


def gateways(temporary: Path) -> list[int]:
    """Processes whose command line or environment names a folder below `temporary`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(temporary).encode() in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                found.append(int(process.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.fixture
def started(tmp_path: Path) -> Generator[Process]:
    """A demo that has printed all that it prints."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    with running(DEMO, tmp_path / "log", env={"TMPDIR": str(temporary)}, cwd=REPOSITORY) as process:
        process.wait_for(lambda: "Ctrl-C ends the demo" in process.output, what="the demo to be up")
        yield process


def test_it_checks_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = demo(tmp_path, "--check", "--json")
    report = json.loads(done.stdout)
    assert [check for check in report["checks"] if not check["passed"]] == []
    assert (done.returncode, report["ok"]) == (0, True)
    names = [check["name"] for check in report["checks"]]
    assert names == [*(case.name for case in CASES), "browser-login", "browser-other-origin", "audit-verify"]
    assert "OpenID provider" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert gateways(tmp_path) == []


def test_a_gateway_that_answers_otherwise_fails_the_check(tmp_path: Path) -> None:
    config = tmp_path / "routes.yaml"
    lax = (REPOSITORY / "routes.yaml").read_text().replace("methods: [GET, HEAD]", "methods: [GET, HEAD, POST]")
    config.write_text(lax)
    done = demo(tmp_path, "--check", "--config", str(config))
    assert done.returncode == 1
    assert re.search(r"FAIL\s+forbidden-write .*\n\s+expected 403 no_rule_allows, got 200", done.stdout)
    assert list(tmp_path.iterdir()) == [config]


def test_what_it_prints_is_true_and_ctrl_c_leaves_nothing_behind(started: Process, tmp_path: Path) -> None:
    printed = started.output
    paste_all(printed)
    tried = demo(tmp_path / "t", "--try", "allowed-read")
    assert tried.returncode == 0, tried.stderr
    assert "No demo is running" not in tried.stderr
    assert tried.stdout.startswith("HTTP/1.1 200\n")
    assert '"backend": "inventory"' in tried.stdout

    ports = {int(port) for port in re.findall(r"(?:localhost|127\.0\.0\.1):(\d+)", printed)}
    assert len(ports) >= 6
    assert all(listening(port) for port in ports)
    started.signal(signal.SIGINT)
    assert started.wait() == 130
    assert "Traceback" not in started.output
    assert list((tmp_path / "t").iterdir()) == []
    assert not any(listening(port) for port in ports)
    wait_for(lambda: gateways(tmp_path / "t") == [], what="every process to be gone")


def paste_all(printed: str) -> None:
    """Every printed curl line, in a shell: it gets the status that is printed beside it."""
    if shutil.which("curl") is None:
        assert "demo --try rate-limit" in printed
        return
    folder = re.search(r"^D=.*$", printed, re.MULTILINE)
    assert folder is not None
    pasted = re.findall(r"^# ([\w-]+): .*\n(.*curl .*)\n→ (\d+)", printed, re.MULTILINE)
    assert [name for name, _, _ in pasted] == [case.name for case in CASES]
    for name, line, status in pasted:
        done = subprocess.run(["sh", "-c", f"{folder[0]}\n{line}"], capture_output=True, text=True)
        statuses = re.findall(r"^HTTP/1\.1 (\d+)", done.stdout, re.MULTILINE)
        assert statuses[-1:] == [status], f"{name}: {line}\n{done.stdout}{done.stderr}"


def test_a_signal_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    with running(DEMO, tmp_path / "log", env={"TMPDIR": str(temporary)}, cwd=REPOSITORY) as process:
        process.wait_for(lambda: "browser application" in process.output, what="it to be about to start the gateway")
        process.signal(signal.SIGTERM)
        assert process.wait() == 130
        assert list(temporary.iterdir()) == []
        assert gateways(temporary) == []
