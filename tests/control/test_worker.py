"""One worker in this process: real config, real sockets, its admin side as a probe."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.runtime import Unusable
from gateway.control.worker import Worker, WorkerSettings, open_sockets
from gateway.server.tls import TlsUnusable
from gateway.testing.ca import Authority
from gateway.testing.process import free_ports
from gateway.testing.tls import client_context
from gateway.testing.wait import until
from tests.control.feeds.provider import provider
from tests.serving import connected, exchange_once, get

ROOT = Authority("cluster.local")
FILE = """\
version: 1
listeners:
  edge: {{address: "127.0.0.1:{edge}", tls: {{certificate: edge.pem, key: edge.key}}}}
  plain: {{address: "127.0.0.1:{plain}"}}
trust_domains: {{cluster.local: {{bundle: ca.pem}}}}
store: {store}
routes:
  - {{name: all, match: {{paths: ["/*"]}}, public: true, respond: {{status: 200, body: ok}}}}
"""


@dataclass
class Probe:
    """A side that notes what it is told."""

    worker: Worker
    events: list[str] = field(default_factory=list)

    async def start(self) -> None:
        self.events.append(f"start ready={self.ready}")

    async def stop(self) -> None:
        self.events.append(f"stop ready={self.ready}")

    @property
    def ready(self) -> bool:
        return all(condition.ok for condition in self.worker.conditions() if condition.needed)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    edge, plain = free_ports(2)
    text = FILE.format(edge=edge, plain=plain, store="memory://")
    (tmp_path / "routes.yaml").write_text(text)
    ROOT.issue(dns=["localhost"]).write(tmp_path, "edge")
    ROOT.write(tmp_path, "ca")
    return load(tmp_path / "routes.yaml")


@dataclass
class Running:
    worker: Worker
    probe: Probe
    done: "asyncio.Task[int]"
    ports: dict[str, int]


@contextlib.asynccontextmanager
async def running(config: Config, lifeline: int | None = None) -> AsyncGenerator[Running]:
    probes: list[Probe] = []

    def probe(worker: Worker) -> Probe:
        probes.append(Probe(worker))
        return probes[0]

    sockets = open_sockets(config)
    ports = {name: bound.getsockname()[1] for name, bound in sockets.items()}
    worker = Worker(config, sockets, WorkerSettings(lambda: load(config.path), probe, lifeline=lifeline))
    done = asyncio.create_task(worker.run())
    await until(lambda: probes and probes[0].ready)
    try:
        yield Running(worker, probes[0], done, ports)
    finally:
        worker.drain()
        await done


async def test_it_serves_on_every_listener_and_ends_cleanly(config: Config) -> None:
    async with running(config) as one:
        assert (await exchange_once(one.ports["plain"], get())).body == b"ok"
        async with connected(one.ports["edge"], client_context([ROOT])) as client:
            await client.send(get())
            assert (await client.answer()).body == b"ok"
    assert one.done.result() == 0
    assert one.probe.events == ["start ready=False", "stop ready=False"]
    streams = list(Path(config.audit.directory).glob("*-w0-*.jsonl"))
    assert len(streams) == 1
    assert streams[0].read_text().splitlines()[-1].startswith('{"type":"checkpoint"')


async def test_readiness_names_its_conditions_and_status_its_sections(config: Config) -> None:
    async with running(config) as one:
        conditions = {condition.name: condition for condition in one.worker.conditions()}
        assert set(conditions) == {"config", "listeners", "audit"}
        sections = {name: ask() for name, ask in one.worker.sections().items()}
        assert set(sections) == {"process", "config", "listeners", "audit", "upstreams"}
        assert sections["config"] == {"file": str(config.path), "digest": config.digest}
        one.worker.drain()
        await until(lambda: not one.probe.ready)
        (listeners,) = [c for c in one.worker.conditions() if c.name == "listeners"]
        assert (listeners.ok, listeners.detail) == (False, "draining")


async def test_handshakes_and_connections_are_counted_and_refusals_recorded(config: Config) -> None:
    stranger = Authority("cluster.local").issue(uri="spiffe://cluster.local/ns/a/sa/b")
    async with running(config) as one:
        metrics = one.worker.runtime.metrics
        handshakes = metrics.tls_handshakes
        async with connected(one.ports["edge"], client_context([ROOT])) as client:
            await client.send(get())
            await client.answer()
            assert metrics.downstream_connections.labels("edge").value == 1
        with contextlib.suppress(OSError):
            async with connected(one.ports["edge"], client_context([ROOT], stranger)) as client:
                await client.all()
        await until(lambda: handshakes.labels("edge", "refused", "certificate_untrusted").value == 1)
        assert handshakes.labels("edge", "ok", "").value == 1
        await until(lambda: metrics.downstream_connections.labels("edge").value == 0)
    text = "".join(path.read_text() for path in Path(config.audit.directory).glob("*.jsonl"))
    assert '"type":"handshake"' in text
    assert '"reason":"certificate_untrusted"' in text


async def test_it_drains_when_its_supervisor_is_gone(config: Config) -> None:
    read, write = os.pipe()
    async with running(config, lifeline=read) as one:
        os.close(write)
        assert await asyncio.wait_for(one.done, 5) == 0


async def test_sighup_reloads(config: Config) -> None:
    async with running(config) as one:
        config.path.write_text(config.path.read_text().replace("body: ok", "body: new"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: one.worker.runtime.current().digest != config.digest)
        assert (await exchange_once(one.ports["plain"], get())).body == b"new"


@contextlib.asynccontextmanager
async def starting(config: Config) -> AsyncGenerator["tuple[Worker, asyncio.Task[int]]"]:
    """A worker that waits for an issuer's keys and does not serve yet."""
    async with provider() as silent:
        silent.hold = asyncio.Event()
        issuers = f"issuers: {{corp: {{issuer: '{silent.url}', audiences: [api]}}}}\n"
        config.path.write_text(config.path.read_text() + issuers)
        slow = load(config.path)
        worker = Worker(slow, open_sockets(slow), WorkerSettings(lambda: load(config.path)))
        done = asyncio.create_task(worker.run())
        await until(lambda: silent.asked, what="the wait for keys")
        yield worker, done
        worker.drain()
        await done


async def test_sigterm_before_it_serves_is_a_clean_end(config: Config) -> None:
    async with starting(config) as (_, done):
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):  # noqa: TID251 - a test's bound
            assert await done == 0
    (stream,) = Path(config.audit.directory).glob("*-w0-*.jsonl")
    assert stream.read_text().splitlines()[-1].startswith('{"type":"checkpoint"')


async def test_sighup_before_it_serves_is_a_reload_as_soon_as_it_does(config: Config) -> None:
    async with starting(config) as (worker, _):
        before = load(config.path).digest
        config.path.write_text(config.path.read_text().replace("body: ok", "body: new"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: worker.runtime.metrics.config_reloads.labels("success").value == 1)
        assert worker.runtime.current().digest != before


async def test_a_store_that_is_down_is_told_of_and_does_not_make_it_unready(config: Config) -> None:
    text = config.path.read_text().replace("memory://", f"redis://127.0.0.1:{free_ports(1)[0]}")
    config.path.write_text(text)
    async with running(load(config.path)) as one:
        (store,) = [condition for condition in one.worker.conditions() if condition.name == "store"]
        assert (store.ok, store.needed) == (False, False)
        assert one.probe.ready
        assert (await exchange_once(one.ports["plain"], get())).status == 200


async def test_what_cannot_be_started_is_one_line(config: Config, tmp_path: Path) -> None:
    settings = WorkerSettings(lambda: config)
    sockets: dict[str, socket.socket] = {}
    (tmp_path / "edge.pem").write_text("half")
    Path(config.audit.directory).parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises((TlsUnusable, Unusable), match=r"edge\.pem"):
        Worker(config, sockets, settings)


def test_all_sockets_are_opened_or_none(config: Config) -> None:
    taken = open_sockets(config)
    try:
        taken["edge"].close()
        with pytest.raises(
            OSError, match=rf"127\.0\.0\.1:{config.listeners['plain'].address.port}: the port is in use"
        ):
            open_sockets(config)
        with socket.create_server(("127.0.0.1", config.listeners["edge"].address.port)):
            pass  # it was given back
    finally:
        for one in taken.values():
            one.close()
