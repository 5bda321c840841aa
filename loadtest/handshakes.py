"""`python -m loadtest.handshakes`: CPU time of one mTLS handshake, in full and resumed, here and in nginx.

Both work with the same OpenSSL, certificates (ECDSA, P-256) and settings, take turns in one run, and are asked alike:
connect, shake hands, close; with `--ask` one small request before that, which they answer themselves.
The kernel's accounting of the server's process (/proc/PID/schedstat), medians over the rounds with least and most.
"""

import argparse
import contextlib
import json
import select
import shutil
import socket
import ssl
import statistics
import sys
import tempfile
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from gateway.testing.ca import Authority
from gateway.testing.process import free_ports, listening, running
from loadtest.job import WORK
from loadtest.measure import cores, pinned, tree

CALLER = "spiffe://bench.local/ns/bench/sa/caller"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
FULL, RESUMED = "full", "resumed"
CLIENTS = 4  # at one time
MOST_OF_NGINX, MOST_OF_FULL = 1.3, 0.5
_NGINX = """
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/error.log error;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  access_log {place}/access.log;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate {place}/edge.pem; ssl_certificate_key {place}/edge.key;
    ssl_client_certificate {place}/ca.pem; ssl_verify_client on; ssl_verify_depth 3; ssl_crl {place}/ca.crl;
    location / {{ return 200 "ok"; }}
  }}
}}
"""


@dataclass
class Row:
    """One server, and what its handshakes cost: microseconds of CPU, one figure a round."""

    name: str
    port: int
    pid: int
    costs: dict[str, list[float]] = field(default_factory=lambda: {FULL: [], RESUMED: []})

    def median(self, kind: str) -> float:
        return statistics.median(self.costs[kind])


class Caller:
    """One client, who keeps the session that it was given last."""

    def __init__(self, place: Path, port: int, *, bare: bool) -> None:
        self._context = ssl.create_default_context(cafile=str(place / "ca.pem"))
        self._context.load_cert_chain(place / "caller.pem", place / "caller.key")
        self._port = port
        self._bare = bare
        self._session: ssl.SSLSession | None = None

    def visit(self, kind: str) -> None:
        """Connect, shake hands, ask, and wait until the server has closed. Raises OSError, RuntimeError."""
        with (
            socket.create_connection(("127.0.0.1", self._port), timeout=30) as plain,
            self._context.wrap_socket(plain, server_hostname="localhost", session=self._session) as secure,
        ):
            if bool(secure.session_reused) is not (kind == RESUMED and self._session is not None):
                raise RuntimeError(
                    f"port {self._port}: the session was {'' if secure.session_reused else 'not '}resumed"
                )
            if not self._bare:
                secure.sendall(REQUEST)
                answer = b"".join(iter(lambda: secure.recv(4096), b""))
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"port {self._port}: answered {answer[:40]!r}")
            if kind == RESUMED:
                if self._bare:
                    select.select([secure], [], [], 30)
                    secure.setblocking(False)
                    with contextlib.suppress(ssl.SSLWantReadError):
                        secure.recv(1)  # nothing but the ticket
                    secure.setblocking(True)
                self._session = secure.session
            with contextlib.suppress(OSError):
                secure.unwrap()


def cpu(pid: int) -> float:
    """Microseconds of CPU that the process and all below it have used."""
    return sum(int(Path(f"/proc/{one}/schedstat").read_text().split()[0]) for one in tree(pid)) / 1000


def window(row: Row, kind: str, place: Path, count: int, *, bare: bool) -> None:
    """So many handshakes by several clients at a time; notes what one cost."""
    callers = [Caller(place, row.port, bare=bare) for _ in range(CLIENTS)]
    if kind == RESUMED:
        for caller in callers:
            caller.visit(kind)  # gets the first ticket

    def work(caller: Caller) -> None:
        for _ in range(count // CLIENTS):
            caller.visit(kind)

    before = cpu(row.pid)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, callers))
    row.costs[kind].append((cpu(row.pid) - before) / (count // CLIENTS * CLIENTS))


@contextlib.contextmanager
def servers(place: Path, core: int | None) -> Generator[list[Row]]:
    """Start what is to be measured, all on one core."""
    port, other = free_ports(2)
    authority = Authority("bench.local")
    authority.write(place, "ca")
    (place / "ca.crl").write_bytes(authority.crl([]))
    authority.issue(dns=["localhost"]).write(place, "edge")
    authority.issue(uri=CALLER).write(place, "caller")
    (place / "nginx.conf").write_text(_NGINX.format(place=place, port=other))
    (place / "routes.yaml").write_text(json.dumps(_config(place, port)))
    with contextlib.ExitStack() as stack:
        rows = []
        for name, at, command in (
            ("gateway", port, [sys.executable, "-m", "gateway", "serve", "-c", str(place / "routes.yaml")]),
            ("nginx", other, [str(shutil.which("nginx")), "-c", str(place / "nginx.conf"), "-p", str(place)]),
        ):
            process = stack.enter_context(running(pinned(core, command), place / f"{name}.log"))
            process.wait_for(lambda at=at: listening(at), what=name)  # type: ignore[misc] # mypy knows no default here
            rows.append(Row(name, at, process.popen.pid))
        yield rows


def _config(place: Path, port: int) -> dict[str, object]:
    tls = {"certificate": str(place / "edge.pem"), "key": str(place / "edge.key"), "client_certificate": "required"}
    return {
        "version": 1,
        "log": {"level": "warning"},
        "listeners": {"edge": {"address": f"127.0.0.1:{port}", "tls": tls}},
        "trust_domains": {"bench.local": {"bundle": str(place / "ca.pem"), "crl": str(place / "ca.crl")}},
        "routes": [
            {
                "name": "all",
                "match": {"paths": ["/*"]},
                "allow": [{"from": {"trust_domains": ["bench.local"]}}],
                "respond": {"status": 200, "body": "ok"},
            }
        ],
        "audit": {"directory": str(place / "audit")},
        "state_dir": str(place / "state"),
    }


def report(rows: Iterable[Row]) -> bool:
    """Print the figures; True when they are within the bounds."""
    by_name = {row.name: row for row in rows}
    for row in by_name.values():
        for kind, costs in row.costs.items():
            spread = f"({min(costs):,.0f}-{max(costs):,.0f})"
            print(f"{row.name:8} {kind:8} {row.median(kind):7,.0f} µs of CPU a connection {spread}")
    ours = by_name["gateway"]
    to_nginx = ours.median(FULL) / by_name["nginx"].median(FULL)
    to_full = ours.median(RESUMED) / ours.median(FULL)
    print(
        f"full to nginx's {to_nginx:.2f} (at most {MOST_OF_NGINX}), "
        f"resumed to full {to_full:.2f} (at most {MOST_OF_FULL})"
    )
    return to_nginx <= MOST_OF_NGINX and to_full <= MOST_OF_FULL


def main(arguments: list[str]) -> int:
    """0 when both ratios are within their bounds."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.handshakes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=400, help="handshakes a window, default 400")
    parser.add_argument("--ask", action="store_true", help="one request on each connection")
    given = parser.parse_args(arguments)
    if shutil.which("nginx") is None:
        parser.error("nginx is wanted: apt-get install nginx")
    WORK.mkdir(exist_ok=True)
    core, _ = cores()
    with (
        tempfile.TemporaryDirectory(dir=WORK, prefix="handshakes-") as directory,
        servers(Path(directory), core) as rows,
    ):
        for row in rows:
            for kind in (FULL, RESUMED):
                window(row, kind, Path(directory), min(40, given.count), bare=not given.ask)
                row.costs[kind].clear()  # warmed up
        for _ in range(given.rounds):
            for kind in (FULL, RESUMED):
                for row in rows:
                    window(row, kind, Path(directory), given.count, bare=not given.ask)
        return 0 if report(rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
