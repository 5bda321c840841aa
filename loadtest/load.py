"""Load: 64 connections that each ask again as soon as they are answered; by `wrk` where it is, else our client."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.job import CONNECTIONS
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
    """What came of a window of load."""

    requests: int
    seconds: float
    p50: float  # milliseconds
    p99: float
    failed: int  # answers that were not 2xx, and socket errors


def tool() -> str:
    """What makes the load."""
    return "wrk" if shutil.which("wrk") else "loadtest.client"


def run(port: int, mix: Sequence[Asked], seconds: float, core: int | None, directory: Path) -> Load:
    """Ask for so long. Raises subprocess.SubprocessError, ValueError when the tool fails."""
    if tool() == "wrk":
        script = directory / "mix.lua"
        script.write_text(_SCRIPT % {"requests": "\n".join(map(_lua, mix))})
        whole = max(1, round(seconds))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{whole}s", "--timeout", "10s", "--latency", "-s", str(script)]
        return parse_wrk(_output(core, [*command, f"https://127.0.0.1:{port}/"], whole))
    file = directory / "mix.json"
    file.write_text(json.dumps([[asked.path, asked.token] for asked in mix]))
    command = [sys.executable, "-m", "loadtest.client", str(port), str(file), str(CONNECTIONS), str(seconds)]
    return Load(**json.loads(_output(core, command, seconds)))


def _output(core: int | None, command: list[str], seconds: float) -> str:
    done = subprocess.run(pinned(core, command), capture_output=True, text=True, timeout=seconds + 30, check=True)
    return done.stdout


def _lua(asked: Asked) -> str:
    token = f'["Authorization"]="Bearer {asked.token}"' if asked.token else ""
    return f'  requests[#requests + 1] = wrk.format("GET", "{asked.path}", {{["Host"]="api.bench.example",{token}}})'


def parse_wrk(text: str) -> Load:
    """wrk's report. Raises ValueError when it is not one."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s|m)", text)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    if total is None or median is None or tail is None:
        raise ValueError(f"wrk said something else:\n{text}")
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = (int(wrong[1]) if wrong else 0) + (sum(map(int, errors.groups())) if errors else 0)
    seconds = float(total[2]) * _UNITS[total[3]] / 1000
    return Load(int(total[1]), seconds, _milliseconds(median), _milliseconds(tail), failed)


def _milliseconds(found: re.Match[str]) -> float:
    return float(found[1]) * _UNITS[found[2]]
