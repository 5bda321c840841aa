"""Taking over a changed file while serving.

Rule: read, build and check everything first, then swap; on any failure the old stays at work, whole, and the log says
why in one line an error.
Invariant: a request sees one snapshot, a handshake one context; one reload runs at a time.
"""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.config.problem import ConfigInvalid, ConfigUnreadable
from gateway.config.schema import Config
from gateway.control.build.listeners import build_contexts, check_dates, listener_limits, listener_proxies
from gateway.control.build.record import grants_told, input_names
from gateway.control.feeds.feed import Watched
from gateway.control.grants import GrantFile
from gateway.control.rotation import Rotation
from gateway.control.runtime import Runtime, Unusable
from gateway.server.listener import Listener
from gateway.server.tls import TlsUnusable
from gateway.stages.record import record_config

log = logging.getLogger(__name__)


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
        self._rotation = Rotation(runtime, listeners, self._lock)
        self.grants = GrantFile(runtime, self._lock, loud=loud)
        self._file: Watched | None = None  # the config's own, as it was read last

    async def __call__(self) -> ReloadResult:
        """Read the file and take it over, or say why not."""
        async with self._lock:
            if self._file is not None:
                self._file.changed()  # whatever it says from here on is another change
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
                grants=grants_told(config) if config is not None and ok else None,
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
        self._rotation.started()
        self.grants.started()
        runtime = self._runtime
        digest = runtime.parts.config.digest
        runtime.metrics.config_last_reload_success.set(time.time())
        runtime.metrics.config_info.labels(digest).set(1)
        runtime.metrics.config_info.keep({(digest,)})

    async def catch_up(self) -> None:
        """Put to work what feeds gave while the config was put to work."""
        async with self._lock:
            await self._rotation.catch_up()

    async def watch(self) -> None:
        """Take over the config and swap what certificates, keys, bundles and grants make when their files change.

        Runs until it is cancelled.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._rotation.watch())
            tasks.create_task(self.grants.watch())

    async def _follow(self) -> None:
        """Read the config's file again when it changes, and has come to rest: who writes it may not be done."""
        path = self._runtime.parts.config.path
        self._file = file = Watched(path)
        file.changed()
        with contextlib.closing(self._runtime.watch.bell(path)) as bell:
            while True:
                await bell.wait()
                if await file.settled():
                    await self()

    async def _take(self) -> tuple[list[str], Config | None]:
        runtime, config = self._runtime, None
        before = runtime.parts.config
        try:
            config = await asyncio.to_thread(self._load)  # a large file takes a while: requests go on meanwhile
            config = self.grants.attach(config)
            errors = fixed(before, config)
            if errors:
                return errors, config
            parts = runtime.prepare(config)
            parts.posture.reload()
            if parts.assertion is not None:
                parts.assertion.reload()
            parts.sources.reload()  # files under an unchanged config, before contexts are made of what they hold
            contexts = await asyncio.to_thread(build_contexts, config, parts.sources.trust.current)
            self._rotation.check(config)
            for name, fresh in contexts.items():
                if fresh is not None:
                    check_dates(fresh, self._listeners[name].contexts, time.time())
        except ConfigInvalid as invalid:
            return [f"{problem.where}: error: {problem}" for problem in invalid.errors], None
        except (ConfigUnreadable, Unusable, TlsUnusable) as error:
            return [str(error)], config
        await runtime.adopt(parts)
        for name, listener in self._listeners.items():
            listener.limits = listener_limits(config.listeners[name], config.workers)
            listener.proxies = listener_proxies(config.listeners[name])
            listener.contexts = contexts[name]
        self.started()
        await self._rotation.catch_up()
        gc.collect()  # the old config and its contexts: some 100 kB in rings, and the collector seldom comes so far
        return [], config


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
