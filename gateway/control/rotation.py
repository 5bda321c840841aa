"""Certificates, keys and bundles that change while the config does not.

Rule: each listener, the gateway's identity and each upstream is read and checked as a whole and swapped alone; what
cannot be used keeps its last good self and is told by `FileHealth`.
Invariant: open connections keep what they began with; backends' pooled ones end when their request is answered.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.config.schema import Config
from gateway.control.build.accept import build_accept
from gateway.control.build.listeners import certificate_files, check_dates, client_roots, tls_settings
from gateway.control.build.upstreams import hangs_on_given, trust_files, upstream_tls
from gateway.control.feeds.feed import Watched
from gateway.control.feeds.svid import Svid
from gateway.control.feeds.watch import Bell
from gateway.control.health import ASSERTION, BUNDLE, CRL, IDENTITY, LISTENER, UPSTREAM
from gateway.control.runtime import Parts, Runtime
from gateway.kernel.x509.keypair import check_key_pair
from gateway.kernel.x509.trust import parse_certificates
from gateway.server.listener import Listener
from gateway.server.tls import Contexts, TlsUnusable


class Rotation:
    """Keeps one worker's listeners and upstreams at what their files say."""

    def __init__(self, runtime: Runtime, listeners: Mapping[str, Listener], lock: asyncio.Lock) -> None:
        """`lock`: held by whoever changes what is at work."""
        self._runtime = runtime
        self._listeners = listeners
        self._lock = lock
        self._watched: dict[tuple[str, str], Watched] = {}
        self._files = Watched()  # all of them
        self._bell: Bell | None = None
        self._trust = -1  # the generation of bundles that is at work; -1: not known yet
        self._svid = -1  # the generation of what the Workload API gave
        self._name: str | None = None  # what the gateway calls itself by it
        self._identity_ends = float("inf")

    def started(self) -> None:
        """A config was put to work: take note of its files and of when they end."""
        config = self._runtime.parts.config
        files = files_of(config)
        self._watched = {key: Watched(*paths) for key, paths in files.items()}
        for watched in self._watched.values():
            watched.changed()
        self._trust = self._svid = -1
        authorities = {(role, name) for name in config.trust_domains for role in (BUNDLE, CRL)}
        authorities |= {(role, name) for name in config.client_authorities for role in (BUNDLE, CRL)}
        others = {(ASSERTION, ASSERTION)} if config.assertion is not None else set()
        others |= {(IDENTITY, IDENTITY)} if config.identity is not None else set()
        self._runtime.health.forget(files.keys() | authorities | others)
        with contextlib.suppress(OSError, ValueError):  # it could be read when it was put to work
            self._identity_ends = _identity_ends(config)
        self._tell()
        every = [path for paths in files.values() for path in paths]
        self._files = Watched(*every)
        self._files.changed()
        bell, self._bell = self._bell, self._runtime.watch.bell(*every)
        if bell is not None:
            bell.ring()  # who waits on it waits on the new one next
            bell.close()

    def check(self, config: Config) -> None:
        """Raises TlsUnusable when a reload would put an identity to work that is worse than the one at work."""
        now = time.time()
        if _identity_ends(config) < now <= self._identity_ends:
            raise TlsUnusable(f"{config.path}: identity: its certificate has expired")

    async def watch(self) -> None:
        """Swap what changed. Runs until it is cancelled."""
        try:
            while True:
                bell = self._bell
                await (bell.wait() if bell is not None else asyncio.sleep(self._runtime.watch.poll))
                await self._files.settled()  # a certificate and its key are two writes
                async with self._lock:
                    await self.catch_up()
        finally:
            if self._bell is not None:
                self._bell.close()

    async def catch_up(self) -> None:
        """Swap what changed since the last time. The caller holds the lock."""
        parts = self._runtime.parts
        changed = {key for key, watched in self._watched.items() if watched.changed()}
        trust, svid = parts.sources.trust.generation, parts.workload.generation if parts.workload is not None else 0
        if (trust, svid) != (self._trust, self._svid):
            changed |= self._behind(parts)
            if parts.workload is not None:
                self._take_name(parts.workload.svid)
            self._trust, self._svid = trust, svid
            self._tell()
        if changed:
            await self._turn(changed)

    def _behind(self, parts: Parts) -> set[tuple[str, str]]:
        """What was made of other bundles, or may have been, or of another SVID, than are there now."""
        roots, config = self._roots(), parts.config
        for held in self._listeners.values():
            if held.contexts is not None:
                held.contexts.forget()  # sessions that were begun under other revocation lists, or may have been
        listeners = {
            (LISTENER, name)
            for name, held in self._listeners.items()
            if held.contexts is not None and held.contexts.settings.roots != roots
        }
        return listeners | {
            (UPSTREAM, name) for name, upstream in config.upstreams.items() if hangs_on_given(config, upstream)
        }

    def _take_name(self, svid: Svid | None) -> None:
        if svid is not None and svid.id != self._name:
            self._name = svid.id
            self._runtime.rename()

    async def _turn(self, changed: set[tuple[str, str]]) -> None:
        for name in [name for role, name in changed if role == LISTENER]:
            await self._listener(name)
        upstreams = {name for role, name in changed if role == UPSTREAM}
        if (IDENTITY, IDENTITY) in changed and await self._identity():
            upstreams |= set(self._runtime.parts.config.upstreams)
        for name in upstreams:
            await self._upstream(name)
        self._tell()

    async def _listener(self, name: str) -> None:
        runtime, listener = self._runtime, self._listeners[name]
        try:
            fresh = await asyncio.to_thread(_contexts, runtime.parts.config, name, self._roots())
            check_dates(fresh, listener.contexts, time.time())
        except TlsUnusable as error:
            runtime.health.kept(LISTENER, name, str(error))
            return
        listener.contexts = fresh
        held = {name: _names(listener) for name, listener in self._listeners.items()}
        runtime.replace_stages(accept=build_accept(runtime.parts.config, held))  # which certificate covers which host
        runtime.health.took(LISTENER, name)

    async def _identity(self) -> bool:
        """True when the gateway's own certificate can be used."""
        config, health = self._runtime.parts.config, self._runtime.health
        files = config.identity.files if config.identity is not None else None
        if files is None:
            return False
        try:
            await asyncio.to_thread(check_key_pair, *files)
            ends = _identity_ends(config)
        except (OSError, ValueError) as error:
            health.kept(IDENTITY, IDENTITY, _text(error))
            return False
        if ends < time.time() <= self._identity_ends:
            health.kept(IDENTITY, IDENTITY, f"{files[0]}: the certificate has expired")
            return False
        self._identity_ends = ends
        health.took(IDENTITY, IDENTITY)
        return True

    async def _upstream(self, name: str) -> None:
        parts, health = self._runtime.parts, self._runtime.health
        try:
            upstream, given = parts.config.upstreams[name], self._runtime.given()
            fresh = await asyncio.to_thread(upstream_tls, parts.config, upstream, given)
        except ValueError as error:
            health.kept(UPSTREAM, name, str(error))
            return
        cluster = parts.upstreams.clusters[name]
        if fresh is not None and cluster.tls is not None and fresh.fingerprint != cluster.tls.fingerprint:
            cluster.rotate(fresh)
        elif hangs_on_given(parts.config, upstream):
            return  # what it is made of changed elsewhere
        health.took(UPSTREAM, name)

    def _roots(self) -> tuple[bytes, ...]:
        return client_roots(self._runtime.parts.sources.trust.current)

    def _tell(self) -> None:
        """When what is at work ends."""
        health, trust = self._runtime.health, self._runtime.parts.sources.trust.current
        for name, listener in self._listeners.items():
            if listener.contexts is not None:
                health.ends(LISTENER, name, min(each.not_after for each in listener.contexts.settings.certificates))
        svid = self._runtime.given().svid
        if svid is not None:
            health.ends(IDENTITY, IDENTITY, svid.ends)
        elif self._identity_ends != float("inf"):
            health.ends(IDENTITY, IDENTITY, self._identity_ends)
        for authority in (*trust.domains.values(), *(client.authority for client in trust.client_authorities)):
            if authority.anchors:
                ends = min(each.not_valid_after_utc.timestamp() for each in authority.anchors)
                health.ends(BUNDLE, authority.name, ends)
            if authority.revocations is not None:
                health.ends(CRL, authority.name, authority.revocations.lapses)


def files_of(config: Config) -> dict[tuple[str, str], list[Path]]:
    """The files of each thing that is swapped alone, by role and name."""
    found = {
        (LISTENER, name): certificate_files(listener)
        for name, listener in config.listeners.items()
        if listener.tls is not None
    }
    if config.identity is not None and config.identity.files is not None:
        found[IDENTITY, IDENTITY] = [*config.identity.files]
    for name, upstream in config.upstreams.items():
        if files := [path for path in trust_files(config, upstream) if path is not None]:
            found[UPSTREAM, name] = files
    return found


def _contexts(config: Config, name: str, roots: tuple[bytes, ...]) -> Contexts:
    tls = config.listeners[name].tls
    if tls is None:
        raise TlsUnusable(f"{name} has no tls")
    return Contexts(tls_settings(tls, roots))


def _names(listener: Listener) -> list[tuple[str, ...]]:
    contexts = listener.contexts
    return [files.names for files in contexts.settings.certificates] if contexts is not None else []


def _identity_ends(config: Config) -> float:
    """When the gateway's own certificate ends, seconds since the epoch. Raises OSError, ValueError."""
    if config.identity is None or config.identity.certificate is None:
        return float("inf")
    leaf = parse_certificates(config.identity.certificate.read_bytes())[0]
    return leaf.not_valid_after_utc.timestamp()


def _text(error: OSError | ValueError) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
