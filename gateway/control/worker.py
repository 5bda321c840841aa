"""One worker: a config and open sockets in, requests served, an exit code out.

Rule: everything that can fail at the start fails before the first connection is accepted, in one line.
Invariant: at the end the last request is answered before the parts that it stands on are closed.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.app import GatewayApp
from gateway.config.schema import Config
from gateway.control.build.listeners import (
    build_contexts,
    expired,
    listener_limits,
    listener_proxies,
    listener_redirect,
)
from gateway.control.build.record import grants_told, input_names
from gateway.control.observe import ConnectionObserver
from gateway.control.reload import Reloader, ReloadResult
from gateway.control.runtime import Runtime, Unusable
from gateway.model.json import JSON
from gateway.server.acceptor import listen
from gateway.server.listener import Listener
from gateway.server.server import DriverName, Server
from gateway.server.tls import TlsUnusable
from gateway.stages.record import record_admin, record_config

log = logging.getLogger(__name__)

Sockets = Mapping[str, socket.socket]  # by the listener's name


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of being ready, or one dependency that is only told of."""

    name: str
    ok: bool
    needed: bool
    detail: str = ""


class Side(Protocol):
    """What is served beside the data path, in the same loop: the admin address."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told besides its config."""

    load: Callable[[], Config]  # reads the file again, with what the command line overrides
    make_side: "Callable[[Worker], Side] | None" = None
    number: int = 0
    stream: int = 0  # names its audit stream: its number, unless a predecessor that drains still has that one
    lifeline: int | None = None  # a pipe whose other end the supervisor holds: at its end the worker drains
    on_serving: Callable[[], None] | None = None  # it accepts connections
    on_leaving: Callable[[], None] | None = None  # it accepts no more, and another is to take its place
    on_drain: Callable[[], None] | None = None  # it was told to drain, and with it the whole gateway
    driver: DriverName = "lane"


class Worker:
    """One process that serves."""

    def __init__(self, config: Config, sockets: Sockets, settings: WorkerSettings) -> None:
        """On the running loop. Raises Unusable, TlsUnusable."""
        self.runtime = Runtime(settings.stream, loud=settings.number == 0)
        self._settings = settings
        self._began = time.time()
        self._parts = self.runtime.prepare(config)
        contexts = build_contexts(config, self._parts.sources.trust.current)
        observer = ConnectionObserver(self.runtime.metrics, lambda: self.runtime.parts.audit)
        ports = {name: bound.getsockname()[1] for name, bound in sockets.items()}
        self.listeners = {
            name: Listener(
                name,
                listener_limits(listener, config.workers),
                observer,
                address=f"{'http' if listener.tls is None else 'https'}://{_address(sockets[name])}",
                contexts=contexts[name],
                redirect=listener_redirect(config, listener, ports),
                proxies=listener_proxies(listener),
                expired=self._expired,
            )
            for name, listener in config.listeners.items()
        }
        self._reloader = Reloader(settings.load, self.runtime, self.listeners, loud=settings.number == 0)
        self._reloads: set[asyncio.Task[ReloadResult]] = set()
        self._adopted = False
        self._hung_up = False  # SIGHUP came before there was anything to reload
        self._all_end = False  # the whole gateway drains, not this worker alone
        self._server = Server(
            GatewayApp(self.runtime.current, listener=next(iter(self.listeners))),
            [(listener, sockets[name]) for name, listener in self.listeners.items()],
            on_hangup=self._hang_up,
            on_serving=settings.on_serving,
            on_drain=self._leaving,
            on_cut=self.runtime.streams.drain,
            driver=settings.driver,
            supervised=settings.lifeline is not None,
        )

    def _expired(self, chain: tuple[bytes, ...]) -> bool:
        return expired(self.runtime.parts.sources.certificates, chain, time.time())

    async def run(self) -> int:
        """Serve until told to stop; returns the exit code. Signals count from here on, also before it serves."""
        with self._server.capture_signals():
            await self._run()
        return 130 if self._server.interrupted else 0

    async def _run(self) -> None:
        runtime, parts = self.runtime, self._parts
        await runtime.adopt(parts)
        self._reloader.started()
        await self._reloader.catch_up()
        self._reloader.grants.take()  # before the first request, and before the config is recorded
        config = runtime.parts.config
        record_config(
            parts.audit, digest=config.digest, ok=True, inputs=input_names(config), grants=grants_told(config)
        )
        calm_collector()
        if self._settings.number == 0:
            log.info("config %s is at work: %s", parts.config.digest[:12], ", ".join(map(str, self.listeners.values())))
        self._adopted = True
        if self._hung_up:
            self._hang_up()
        side = self._settings.make_side(self) if self._settings.make_side is not None else None
        watch = asyncio.create_task(self._reloader.watch())
        if self._settings.lifeline is not None:
            asyncio.get_running_loop().add_reader(self._settings.lifeline, self._orphaned, self._settings.lifeline)
        try:
            if side is not None:
                await side.start()
            await self._server.serve()
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            if side is not None:
                await side.stop()
            await runtime.close()

    # What the admin address asks

    async def reload(self) -> ReloadResult:
        """Read the file again."""
        return await self._reloader()

    def drain(self) -> None:
        """Begin to drain; the process ends when the last request is answered, and with it the other workers."""
        if self._settings.on_drain is not None and not self._all_end:
            self._settings.on_drain()
        self._end()

    def _end(self) -> None:
        self._all_end = True
        self._server.drain()  # asked for twice, by a caller and by the supervisor, it is still no hurry

    def record(self, action: str, status: int, client: str) -> None:
        """An admin call, for the audit log."""
        record_admin(self.runtime.parts.audit, action=action, status=status, client=client)

    def conditions(self) -> Sequence[Condition]:
        """Whether requests may be sent here, and how its dependencies are."""
        parts = self.runtime.parts
        accepting, failure = self._server.accepting, parts.audit.failure
        found = [
            Condition("config", ok=True, needed=True, detail=parts.config.digest[:12]),
            Condition("listeners", accepting, needed=True, detail="draining" if self._server.should_exit else ""),
            Condition("audit", failure is None, needed=True, detail=failure or ""),
        ]
        if parts.workload is not None:
            svid = parts.workload.svid
            found.append(Condition("identity", svid is not None, needed=True, detail=svid.id if svid else "no SVID"))
        if parts.store.address is not None:
            trouble = parts.store.trouble
            found.append(Condition("store", trouble is None, needed=False, detail=trouble or ""))
        found += [Condition(f"audit sink {s.name}", ok=not s.failing, needed=False) for s in parts.audit.sinks]
        if parts.telemetry is not None:
            found.append(Condition("telemetry", ok=not parts.telemetry.outbox.failing, needed=False))
        for name, feed in parts.sources.keys.items():
            found.append(Condition(f"issuer {name}", feed.current is not None and not feed.failing, needed=False))
        for name, why in parts.sources.statuses.troubles.items():
            found.append(Condition(f"ocsp {name}", ok=False, needed=False, detail=why))
        for name, exchanger in parts.exchanges.exchangers.items():
            trouble = exchanger.trouble
            found.append(Condition(f"token exchange {name}", trouble is None, needed=False, detail=trouble or ""))
        if parts.revocations is not None:
            trouble = parts.revocations.trouble
            found.append(Condition("revoked tokens", trouble is None, needed=False, detail=trouble or ""))
        for (role, name), trouble in self.runtime.health.troubles.items():
            found.append(Condition(f"{role} {name}", ok=False, needed=False, detail=trouble))
        if self._reloader.grants.trouble is not None:
            found.append(Condition("grants", ok=False, needed=False, detail=self._reloader.grants.trouble))
        return found

    def sections(self) -> Mapping[str, Callable[[], JSON]]:
        """The members of /status."""
        parts = self.runtime.parts
        return {
            "process": lambda: {"pid": os.getpid(), "worker": self._settings.number, "started": self._began},
            "config": lambda: {"file": str(parts.config.path), "digest": self.runtime.parts.config.digest},
            "listeners": lambda: [
                {"name": name, "connections": len(listener.connections), "draining": listener.draining}
                for name, listener in self.listeners.items()
            ],
            "audit": parts.audit.status,  # the log never changes while the process lives
            "upstreams": lambda: [cluster.status() for cluster in self.runtime.parts.upstreams.clusters.values()],
        }

    def _hang_up(self) -> None:
        if not self._adopted:
            self._hung_up = True  # the file that is being put to work may be the old one already
            return
        task = asyncio.get_running_loop().create_task(self._reloader())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    def _orphaned(self, lifeline: int) -> None:
        asyncio.get_running_loop().remove_reader(lifeline)
        log.warning("the supervisor is gone: draining")
        self._end()  # there is nobody to be told

    def _leaving(self) -> None:
        if self._settings.on_leaving is not None and not self._all_end:
            self._settings.on_leaving()


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_YOUNG = 20_000  # objects made and not freed, before the collector looks at them: the usual 700 are three requests


def calm_collector() -> None:
    """Keep the collector off what lives as long as the process, and let it look at the rest less often.

    A request leaves no cycles behind, so nearly all that it would look at is at work or freed already; left as it is,
    it takes 3 % of the CPU time. What fails may leave cycles (a traceback): they wait a little longer.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)


def open_sockets(config: Config, *, shared: bool = False) -> dict[str, socket.socket]:
    """A listening socket a listener. Raises OSError, naming the address in one line; then none stays open.

    `shared`: one of several sockets of this address, for one of several workers.
    """
    with contextlib.ExitStack() as opened:
        found = {}
        for name, listener in config.listeners.items():
            host = "127.0.0.1" if listener.address.host == "localhost" else listener.address.host
            found[name] = opened.enter_context(listen(host, listener.address.port, reuse_port=shared))
        opened.pop_all()
        return found


def serve(config: Config, sockets: Sockets, settings: WorkerSettings) -> int:
    """Run one worker in this process, on a loop of its own. Raises Unusable."""
    import uvloop

    async def run() -> int:
        try:
            worker = Worker(config, sockets, settings)
        except TlsUnusable as error:
            raise Unusable(str(error)) from error
        return await worker.run()

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the loop listens to it, the signal must not end the process
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # a supervisor's matter
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())
