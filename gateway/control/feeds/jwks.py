"""An issuer's keys, fetched: refreshed in the background, asked for again for an unknown kid.

Rule: one refetch for unknown kids a cooldown, over all workers of a state directory. The last good keys serve until
`max_stale`, then none do (503).
Invariant: one issuer's trouble touches no other; a flood of unknown kids costs one fetch a cooldown and evicts nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from gateway.control.feeds.discovery import discover_jwks_uri
from gateway.control.feeds.fetch import Fetcher
from gateway.control.feeds.kept import KeptKeys
from gateway.control.feeds.shared_fetch import SharedFetch
from gateway.control.feeds.watch import FileWatch
from gateway.kernel.egress import Egress
from gateway.stages.authenticate.keys import KeySet, parse_key_set

log = logging.getLogger(__name__)

OnRefresh = Callable[[str, bool], None]  # the issuer's name in routes.yaml; did the refresh succeed
_SHORTEST_PACE = 30.0  # seconds between refreshes, however soon the provider calls its answer stale
COOLDOWN = 30.0  # seconds between fetches for unknown kids


@dataclass(frozen=True, slots=True)
class JwksSettings:
    """What a feed of fetched keys hangs on: two that are equal are one feed over a reload."""

    name: str
    issuer: str
    jwks_uri: str | None  # None: discovery
    ca: Path | None
    refresh: float  # seconds, at most; a provider's Cache-Control or Expires may say sooner
    max_stale: float  # seconds
    state: Path | None  # directory for the last good keys; None: they are neither kept nor shared


class JwksFeed(SharedFetch):
    """One issuer's keys. Fulfils the stage's KeySource."""

    def __init__(
        self,
        settings: JwksSettings,
        *,
        clock: Callable[[], float],
        on_refresh: OnRefresh | None = None,
        cooldown: float = COOLDOWN,
        watch: FileWatch | None = None,
    ) -> None:
        """`clock`: wall clock, seconds since the epoch; `cooldown`: seconds; `watch`: tells of other workers' keys."""
        kept = KeptKeys(settings.state, settings.issuer, settings.jwks_uri) if settings.state is not None else None
        super().__init__(
            kept,
            pace=settings.refresh,
            longest=settings.refresh,
            max_stale=settings.max_stale,
            cooldown=cooldown,
            clock=clock,
            watch=watch,
        )
        self.settings = settings
        self._on_refresh = on_refresh
        named = [settings.issuer] if settings.jwks_uri is None else [settings.issuer, settings.jwks_uri]
        hosts = frozenset(host for host in (urlsplit(url).hostname for url in named) if host)
        self._fetcher = Fetcher(Egress(hosts), settings.ca)
        self._uri = settings.jwks_uri
        # In force; None while there are none that can be relied on. An attribute: every request with a token reads it.
        self.current: KeySet | None = None
        self._digest = b""

    def __repr__(self) -> str:
        return f"JwksFeed({self.settings.name!r}, {self.current!r}, {self._failures} failures)"

    async def _get(self, *, anew: bool) -> tuple[bytes, float]:
        settings = self.settings
        if self._uri is None or (anew and settings.jwks_uri is None):
            self._uri = await discover_jwks_uri(settings.issuer, self._fetcher)
        document = await self._fetcher.get(self._uri)
        self._use(document.body)
        lifetime = settings.refresh if document.lifetime is None else max(_SHORTEST_PACE, document.lifetime)
        return document.body, min(settings.refresh, lifetime)

    def _use(self, body: bytes) -> None:
        digest = sha256(body).digest()
        if self.current is None or digest != self._digest:  # an equal set stays the same object: caches hang on it
            keys = parse_key_set(body)
            for alarm in keys.alarms:
                log.warning("issuer %s: %s", self.settings.name, alarm)
            self.current, self._digest = keys, digest

    def _told(self, why: str | None, *, ours: bool, first: bool, gone: bool) -> None:
        name = self.settings.name
        if ours and self._on_refresh is not None:
            self._on_refresh(name, why is None)
        if why is None:
            if first:
                log.info("issuer %s: its keys are available again", name)
        elif gone and self.current is not None:
            log.error("issuer %s: its last good keys are too old to be used any longer", name)
            self.current = None
        elif first:
            serving = "its last good keys serve on" if self.current else "its tokens are answered 503 until they are"
            log.warning("issuer %s: its keys cannot be fetched (%s); %s; retrying", name, why, serving)
