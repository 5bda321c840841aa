"""A gateway of two workers with everything that it leans on, each in a process of its own that can be killed.

What stands between it and Redis, and between it and the backend, can be slowed down and held up.
"""

import asyncio
import contextlib
import json
import signal
import ssl
import struct
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from gateway.testing.client import send
from gateway.testing.faults import FaultProxy
from gateway.testing.issuer import Issuer
from gateway.testing.pki import Folder
from gateway.testing.process import Process, free_ports, listening, running
from gateway.testing.wait import until
from loadtest.job import ROOT
from tests.redis_server import redis_server

QUOTA = 200  # requests in a day on the route that counts them
BACKEND = "spiffe://cluster.local/ns/default/sa/inventory"
CONFIG = """\
version: 1
workers: 2
listeners:
  edge: {{address: "127.0.0.1:{edge}", tls: {{certificate: certs/edge.pem, key: certs/edge.key}}}}
admin: {{address: "127.0.0.1:{admin}"}}
identity: {{certificate: certs/gateway.pem, key: certs/gateway.key}}
trust_domains:
  cluster.local: {{bundle: certs/cluster-ca.pem}}
issuers:
  corp: {{issuer: "http://127.0.0.1:{provider}", audiences: [api-service]}}
store: redis://127.0.0.1:{redis}
rate_limits:
  daily: {{rate: {quota}/day, key: [], on_store_failure: deny}}
  busy: {{rate: 10000/second, concurrency: 500}}
upstreams:
  inventory:
    endpoints: ["https://127.0.0.1:{backend}"]
    tls: {{server_identity: "{identity}"}}
    timeouts: {{connect: 1s, response: 2s}}
routes:
  - name: counted
    match: {{paths: [/counted]}}
    upstream: inventory
    rate_limits: [daily]
    allow: [{{from: {{request_principals: ["*"]}}}}]
  - name: api
    match: {{paths: ["/api/*"]}}
    upstream: inventory
    rate_limits: [busy]
    allow: [{{from: {{request_principals: ["*"]}}, to: {{methods: [GET]}}}}]
audit: {{directory: audit, signing_key: certs/audit.key, checkpoint: 1s, on_failure: deny}}
state_dir: state
log: {{format: text}}
"""
# The gateway's wall clock for this test: the real one and a number of seconds that lies in a file.
CLOCK = """
import mmap, os, struct, time
_real, _file = time.time, open(os.environ["CHAOS_CLOCK"], "rb")
_map = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
time.time = lambda: _real() + struct.unpack("<d", _map[:8])[0]
"""


class Part:
    """A process that can be killed and started again."""

    def __init__(self, start: Callable[[], contextlib.AbstractContextManager[Process]], port: int) -> None:
        self._start = start
        self._port = port
        self._held = contextlib.ExitStack()
        self.process: Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.to_thread(self._held.enter_context, self._start())
        await until(lambda: listening(self._port), what=f"port {self._port} to be listened on")

    async def kill(self) -> None:
        assert self.process is not None
        self.process.popen.kill()
        await asyncio.to_thread(self.process.wait)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.signal(number)

    async def stop(self) -> None:
        if self.process is not None and self.process.alive():
            self.signal(signal.SIGCONT)
        await asyncio.to_thread(self._held.close)


@dataclass
class World:
    """All of it."""

    folder: Path
    edge: int
    issuer: Issuer
    trust: ssl.SSLContext
    gateway: Part
    redis: Part
    provider: Part
    backend: Part
    to_redis: FaultProxy
    to_backend: FaultProxy
    output: list[str] = field(default_factory=list)

    @property
    def audit(self) -> Path:
        return self.folder / "audit"

    def workers(self) -> list[int]:
        """Process ids of the workers: the children of the gateway that hold an audit file open."""
        assert self.gateway.process is not None
        parent = self.gateway.process.popen.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(child) for child in children if self._writes(int(child))]

    def _writes(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                if str(link.readlink()).startswith(str(self.audit)):
                    return True
        return False

    def set_clock(self, seconds: float) -> None:
        """The gateway's wall clock is this much ahead."""
        with (self.folder / "clock").open("r+b") as file:
            file.write(struct.pack("<d", seconds))

    def token(self) -> str:
        """Good for a day, and issued two days ago: no step of the clock in here makes it bad."""
        return self.issuer.token(lifetime=86400, iat=int(self.issuer.clock()) - 2 * 86400)


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncGenerator[World]:
    """Started, ready and seen to answer."""
    certs = Folder(folder / "certs")
    certs.init()
    certs.issue("inventory", uri=BACKEND)
    edge, admin, redis_port, provider_port, backend_port = free_ports(5)
    issuer = Issuer(f"http://127.0.0.1:{provider_port}")
    _publish(folder / "pages", issuer)
    (folder / "clock").write_bytes(struct.pack("<d", 0.0))
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(CLOCK)
    async with FaultProxy(redis_port) as to_redis, FaultProxy(backend_port) as to_backend, _Parts() as parts:
        (folder / "routes.yaml").write_text(
            CONFIG.format(
                edge=edge,
                admin=admin,
                provider=provider_port,
                redis=to_redis.port,
                backend=to_backend.port,
                quota=QUOTA,
                identity=BACKEND,
            )
        )
        kept = ("--appendonly", "yes", "--appendfsync", "everysec")  # what is written outlives the process
        redis = await parts.add(lambda: _redis(folder / "redis", redis_port, kept), redis_port)
        pages = ["-m", "http.server", str(provider_port), "--bind", "127.0.0.1", "--directory", str(folder / "pages")]
        provider = await parts.add(lambda: _python(folder / "provider.log", *pages), provider_port)
        serve = ["-m", "gateway.testing.services", "backend", "inventory", "--host", "127.0.0.1"]
        serve += ["--port", str(backend_port), "--certs", str(certs.path)]
        backend = await parts.add(lambda: _python(folder / "backend.log", *serve), backend_port)
        command = ["-m", "gateway", "serve", "--config", str(folder / "routes.yaml")]
        env = {"CHAOS_CLOCK": str(folder / "clock"), "PYTHONPATH": f"{folder / 'site'}:{ROOT}"}
        gateway = await parts.add(lambda: _python(folder / "gateway.log", *command, env=env), edge)
        trust = ssl.create_default_context(cafile=str(certs.path / "cluster-ca.pem"))
        found = World(folder, edge, issuer, trust, gateway, redis, provider, backend, to_redis, to_backend)
        await _answers(found)
        yield found


class _Parts:
    """Started in order, stopped the other way round."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    async def add(self, start: Callable[[], contextlib.AbstractContextManager[Process]], port: int) -> Part:
        part = Part(start, port)
        self._parts.append(part)
        await part.start()
        return part

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for part in reversed(self._parts):
            await part.stop()


@contextlib.contextmanager
def _redis(folder: Path, port: int, options: tuple[str, ...]) -> Generator[Process]:
    with redis_server(folder, *options, port=port) as server:
        yield server.process


def _python(
    log: Path, *arguments: str, env: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[Process]:
    return running([sys.executable, *arguments], log, env=env, cwd=ROOT)


def _publish(pages: Path, issuer: Issuer) -> None:
    """What the provider serves, as files."""
    (pages / ".well-known").mkdir(parents=True)
    metadata = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}
    (pages / ".well-known" / "openid-configuration").write_text(json.dumps(metadata))
    (pages / "jwks").write_text(json.dumps(issuer.jwks()))


async def _answers(of: World) -> None:
    """Wait until it does its whole job."""
    headers = [("authorization", f"Bearer {of.token()}")]
    for _ in range(300):
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            if (await send(of.edge, "GET", "/api/x", tls=of.trust, headers=headers, seconds=5)).status == 200:
                return
        await asyncio.sleep(0.1)
    assert of.gateway.process is not None
    raise RuntimeError(f"the gateway never answered:\n{of.gateway.process.output}")
