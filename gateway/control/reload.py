"""Taking over a changed file, or changed certificates, while serving.

Rule: read, build and check everything first, then swap; on any failure the old stays at work, whole, and the log says
why in one line an error.
Invariant: a request sees one snapshot, a handshake one context; one reload runs at a time.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.config.problem import ConfigInvalid, ConfigUnreadable
from gateway.config.schema import Config
from gateway.control.build.listeners import build_contexts, certificate_ends, certificate_files, listener_limits
from gateway.control.build.record import input_names
from gateway.control.feeds.feed import Watched
from gateway.control.runtime import Runtime, Unusable
from gateway.server.listener import Listener
from gateway.server.tls import TlsUnusable
from gateway.stages.record import record_config

log = logging.getLogger(__name__)

_POLL = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """How a reload went."""

    ok: bool
    digest: str  # of the config at work afterwards
    errors: tuple[str, ...] = ()  # one line each


class Reloader:
    """Keeps one worker's runtime and listeners at what the files say."""

    def __init__(
        self, load: Callable[[], Config], runtime: Runtime, listeners: Mapping[str, Listener], *, loud: bool = True
    ) -> None:
        """`load` reads the file again, with what the command line overrides.

        `loud`: log what is refused; of several workers that read the same file one is enough.
        """
        self._load = load
        self._runtime = runtime
        self._listeners = listeners
        self._loud = loud
        self._lock = asyncio.Lock()
        self._watched = Watched()
        self._trust = 0

    async def __call__(self) -> ReloadResult:
        """Read the file and take it over, or say why not."""
        async with self._lock:
            errors, config = await self._take()
            runtime = self._runtime
            ok = not errors
            digest = runtime.parts.config.digest
            runtime.metrics.config_reloads.labels("success" if ok else "failure").inc()
            record_config(
                runtime.parts.audit,
                digest=config.digest if config is not None else digest,
                ok=ok,
                errors=len(errors),
                inputs=input_names(config) if config is not None and ok else None,
            )
            if ok:
                log.info("config %s is at work", digest[:12])
            elif self._loud:
                for error in errors:
                    log.error("reload: %s", error)
                log.error("reload refused: config %s serves on", digest[:12])
            return ReloadResult(ok, digest, tuple(errors))

    def started(self) -> None:
        """Take note of what is at work from the start on."""
        config = self._runtime.parts.config
        self._watched = Watched(*certificate_files(config))
        self._watched.changed()
        self._trust = self._runtime.parts.sources.trust.generation
        self._tell(config)

    async def watch(self) -> None:
        """Swap contexts when a certificate, key or bundle changed. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(_POLL)
            if self._watched.changed() or self._runtime.parts.sources.trust.generation != self._trust:
                async with self._lock:
                    await self._swap_certificates()

    async def _take(self) -> tuple[list[str], Config | None]:
        runtime, config = self._runtime, None
        before = runtime.parts.config
        try:
            config = await asyncio.to_thread(self._load)  # a large file takes a while: requests go on meanwhile
            errors = fixed(before, config)
            if errors:
                return errors, config
            parts = runtime.prepare(config)
            parts.posture.reload()
            parts.sources.reload()  # files under an unchanged config, before contexts are made of what they hold
            contexts = await asyncio.to_thread(build_contexts, config, parts.sources.trust.current)
        except ConfigInvalid as invalid:
            return [f"{problem.where}: error: {problem}" for problem in invalid.errors], None
        except (ConfigUnreadable, Unusable, TlsUnusable) as error:
            return [str(error)], config
        await runtime.adopt(parts)
        for name, listener in self._listeners.items():
            listener.limits = listener_limits(config.listeners[name], config.workers)
            listener.contexts = contexts[name]
        self.started()
        return [], config

    async def _swap_certificates(self) -> None:
        config, trust = self._runtime.parts.config, self._runtime.parts.sources.trust
        self._trust = trust.generation
        try:
            contexts = await asyncio.to_thread(build_contexts, config, trust.current)
        except TlsUnusable as error:
            if self._loud:
                log.error("%s; the last good certificates stay in force", error)
            return
        for name, listener in self._listeners.items():
            listener.contexts = contexts[name]
        self._tell(config)
        log.info("the listeners' certificates were read again")

    def _tell(self, config: Config) -> None:
        metrics = self._runtime.metrics
        metrics.config_last_reload_success.set(time.time())
        metrics.config_info.labels(config.digest).set(1)
        metrics.config_info.keep({(config.digest,)})
        for name, end in certificate_ends(config).items():
            metrics.certificate_expiry.labels("listener", name).set(end)


def fixed(before: Config, now: Config) -> list[str]:
    """What changed that only a restart can change: sockets, and processes."""
    errors = [
        f"{now.path}: error: listeners.{name}: listeners come and go only with a restart"
        for name in sorted(before.listeners.keys() ^ now.listeners.keys())
    ]
    for name in sorted(before.listeners.keys() & now.listeners.keys()):
        old, new = before.listeners[name], now.listeners[name]
        same = (old.address, old.tls is None, old.redirect) == (new.address, new.tls is None, new.redirect)
        if not same:
            errors.append(f"{new.where}: error: listeners.{name}: its address and kind change only with a restart")
    if (before.admin.address if before.admin else None) != (now.admin.address if now.admin else None):
        errors.append(f"{now.path}: error: admin: its address changes only with a restart")
    if before.workers != now.workers:
        errors.append(f"{now.path}: error: workers: their number changes only with a restart")
    return errors
