"""Load: 64 connections that each ask again as soon as they are answered; by `wrk` where it is, else our client."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from loadtest.job import CONNECTIONS, ROOT
from loadtest.measure import pinned

_SCRIPT = """
local requests = {}
local at = 0
init = function()
%(requests)s
end
request = function()
  at = at %% #requests + 1
  return requests[at]
end
"""
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Asked:
    """One request of the mix."""

    path: str
    token: str  # "" for none


@dataclass(frozen=True)
class Load:
    """What came of some seconds of load, from the first connection's handshake on."""

    requests: int
    p50: float  # milliseconds
    p99: float
    failed: int  # answers that were not 2xx, and socket errors


def tool() -> str:
    """What makes the load."""
    return "wrk" if shutil.which("wrk") else "loadtest.client"


class Asking:
    """A tool at work; `with` it, and it never outlives the block."""

    def __init__(self, port: int, mix: Sequence[Asked], seconds: int, core: int | None, directory: Path) -> None:
        """Ask for so many seconds."""
        self._wrk = tool() == "wrk"
        self._seconds = seconds
        command = _wrk(port, mix, seconds, directory) if self._wrk else _client(port, mix, seconds, directory)
        self._popen = subprocess.Popen(
            pinned(core, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.kill()
        self._popen.communicate()

    def finish(self) -> Load:
        """Wait for its end. Raises subprocess.TimeoutExpired, ValueError when it failed."""
        output, errors = self._popen.communicate(timeout=self._seconds + 30)
        if self._popen.returncode:
            raise ValueError(f"{tool()} failed: {errors.strip()[-300:] or output.strip()[-300:]}")
        return parse_wrk(output) if self._wrk else Load(**json.loads(output))


def _wrk(port: int, mix: Sequence[Asked], seconds: int, directory: Path) -> list[str]:
    script = directory / "mix.lua"
    script.write_text(_SCRIPT % {"requests": "\n".join(map(_lua, mix))})
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", str(script)]
    return ["wrk", *options, f"https://127.0.0.1:{port}/"]


def _client(port: int, mix: Sequence[Asked], seconds: int, directory: Path) -> list[str]:
    file = directory / "mix.json"
    file.write_text(json.dumps([[asked.path, asked.token] for asked in mix]))
    return [sys.executable, "-m", "loadtest.client", str(port), str(file), str(CONNECTIONS), str(seconds)]


def _lua(asked: Asked) -> str:
    token = f'["Authorization"]="Bearer {asked.token}"' if asked.token else ""
    return f'  requests[#requests + 1] = wrk.format("GET", "{asked.path}", {{["Host"]="api.bench.example",{token}}})'


def parse_wrk(text: str) -> Load:
    """wrk's report. Raises ValueError when it is not one."""
    total = re.search(r"(\d+) requests in ", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s|m)", text)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    if total is None or median is None or tail is None:
        raise ValueError(f"wrk said something else:\n{text}")
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = (int(wrong[1]) if wrong else 0) + (sum(map(int, errors.groups())) if errors else 0)
    return Load(int(total[1]), _milliseconds(median), _milliseconds(tail), failed)


def _milliseconds(found: re.Match[str]) -> float:
    return float(found[1]) * _UNITS[found[2]]
