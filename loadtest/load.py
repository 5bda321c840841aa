"""Load: connections that each ask again as soon as they are answered, by `wrk` where it is, else our client.

What wrk cannot do is ours everywhere: client certificates, large bodies, a steady rate, a new connection a request.
"""

import json
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Self

from loadtest.job import CONNECTIONS, ROOT, How
from loadtest.measure import pinned

_SCRIPT = """
local requests = {}
local at = 0
local count = os.time() %% 100000 * 1000000 -- no window asks for what one before it did
init = function()
%(requests)s
end
request = function()
  at = at %% #requests + 1
  count = count + 1
  return %(request)s
end
"""
BEGUN = "begun"  # what ours say when their first connections are open
LARGE = 1 << 20  # bytes of a body that wrk fails to send over TLS
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Asked:
    """One request of the mix."""

    path: str
    token: str  # "" for none
    method: str = "GET"
    sent: int = 0  # bytes of its body

    def raw(self) -> bytes:
        """As it goes over the wire."""
        fields = ["Host: api.bench.example"]
        fields += [f"Authorization: Bearer {self.token}"] if self.token else []
        fields += [f"Content-Length: {self.sent}"] if self.sent else []
        head = "".join(f"{line}\r\n" for line in (f"{self.method} {self.path} HTTP/1.1", *fields, ""))
        return head.encode() + b"x" * self.sent


@dataclass(frozen=True)
class Order:
    """What a load generator is told."""

    port: int
    mix: Sequence[Asked]
    seconds: float
    how: How = How.KEPT
    connections: int = CONNECTIONS
    status: int = 200  # of every answer; any other is a failure
    rate: float = 0.0  # requests a second, of How.PACED
    certificate: str = ""  # of the client: path of PEM files without .pem and .key; "" for none
    fresh: bool = False  # each request has a query of its own

    def write(self, file: Path) -> None:
        """For a program that is told by a file."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Self:
        """What `write` wrote."""
        told = json.loads(file.read_text())
        return cls(**{**told, "mix": [Asked(**one) for one in told["mix"]], "how": How(told["how"])})

    def context(self) -> ssl.SSLContext:
        """The client's side of TLS: it verifies nothing, as wrk does."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.certificate:
            context.load_cert_chain(f"{self.certificate}.pem", f"{self.certificate}.key")
        return context


@dataclass(frozen=True)
class Load:
    """What came of some seconds of load, from the first connection's handshake on."""

    requests: int
    p50: float  # milliseconds
    p99: float
    failed: int  # answers of another status, and socket errors
    resumed: int = 0  # of the connections, those that took up an earlier session

    @classmethod
    def of(cls, seconds: Sequence[float], failed: int, resumed: int = 0) -> Self:
        """From what each right answer took."""
        ranked = sorted(seconds) or [0.0]
        p50, p99 = (ranked[len(ranked) * percent // 100] * 1000 for percent in (50, 99))
        return cls(len(seconds) + failed, p50, p99, failed, resumed)


def tool() -> str:
    """What makes the load of kept connections."""
    return "wrk" if shutil.which("wrk") else "loadtest.client"


class Asking:
    """A tool at work; `with` it, and it never outlives the block."""

    def __init__(self, order: Order, core: int | None, directory: Path) -> None:
        """Carry out an order; returns once it has begun. Raises ValueError when ours could not."""
        large = order.mix[0].sent > LARGE
        self._wrk = order.how is How.KEPT and not order.certificate and not large and tool() == "wrk"
        self._order = order
        command = _wrk(order, directory) if self._wrk else _own(order, directory)
        self._popen = subprocess.Popen(
            pinned(core, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._popen.stdout is not None
        if not self._wrk and self._popen.stdout.readline().strip() != BEGUN:
            self.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.kill()
        self._popen.communicate()

    def finish(self) -> Load:
        """Wait for its end; idle connections end now. Raises subprocess.TimeoutExpired, ValueError when it failed."""
        output, errors = self._popen.communicate(timeout=self._order.seconds + 30)
        if self._popen.returncode:
            raise ValueError(f"the load failed: {errors.strip()[-300:] or output.strip()[-300:]}")
        return parse_wrk(output, refused=self._order.status >= 300) if self._wrk else Load(**json.loads(output))


def _wrk(order: Order, directory: Path) -> list[str]:
    script = directory / "mix.lua"
    request = '(requests[at]:gsub(" HTTP", "?n=" .. count .. " HTTP", 1))' if order.fresh else "requests[at]"
    script.write_text(_SCRIPT % {"requests": "\n".join(map(_lua, order.mix)), "request": request})
    options = ["-t1", f"-c{order.connections}", f"-d{ceil(order.seconds)}s", "--timeout", "10s", "--latency"]
    return ["wrk", *options, "-s", str(script), f"https://127.0.0.1:{order.port}/"]


def _own(order: Order, directory: Path) -> list[str]:
    file = directory / "order.json"
    order.write(file)
    module = "loadtest.client" if order.how in (How.KEPT, How.PACED) else "loadtest.connections"
    return [sys.executable, "-m", module, str(file)]


def _lua(asked: Asked) -> str:
    token = f'["Authorization"]="Bearer {asked.token}"' if asked.token else ""
    body = f', string.rep("x", {asked.sent})' if asked.sent else ""
    head = f'{{["Host"]="api.bench.example",{token}}}'
    return f'  requests[#requests + 1] = wrk.format("{asked.method}", "{asked.path}", {head}{body})'


def parse_wrk(text: str, *, refused: bool = False) -> Load:
    """wrk's report; `refused`: an answer of 300 and above is what is wanted, and whoever refuses may close.

    Raises ValueError for another text.
    """
    total = re.search(r"(\d+) requests in ", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s|m)", text)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    if total is None or median is None or tail is None:
        raise ValueError(f"wrk said something else:\n{text}")
    unwanted = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    wrong = int(unwanted[1]) if unwanted else 0
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    connect, read, write, timeout = map(int, errors.groups()) if errors else (0, 0, 0, 0)
    failed = (int(total[1]) - wrong if refused else wrong + read) + connect + write + timeout
    return Load(int(total[1]), _milliseconds(median), _milliseconds(tail), failed)


def _milliseconds(found: re.Match[str]) -> float:
    return float(found[1]) * _UNITS[found[2]]
