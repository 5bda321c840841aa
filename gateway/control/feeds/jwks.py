"""An issuer's keys, fetched: refreshed in the background, asked for again for an unknown kid.

Rule: one fetch in flight, one refetch a cooldown; the last good keys serve until `max_stale`, then none do (503).
Invariant: one issuer's trouble touches no other; a flood of unknown kids costs one fetch a cooldown and evicts nothing.
"""

import asyncio
import json
import logging
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from gateway.control.feeds.discovery import discover_jwks_uri
from gateway.control.feeds.fetch import Fetcher, FetchError
from gateway.kernel.egress import Egress
from gateway.kernel.strict import NotStrict, parse_object
from gateway.stages.authenticate.keys import KeySet, parse_key_set

log = logging.getLogger(__name__)

OnRefresh = Callable[[str, bool], None]  # the issuer's name in routes.yaml; did the refresh succeed
_FIRST_RETRY = 0.5  # seconds, doubled at each failure
_LONGEST_RETRY = 30.0
COOLDOWN = 30.0  # seconds between fetches for unknown kids


@dataclass(frozen=True, slots=True)
class JwksSettings:
    """What a feed of fetched keys hangs on: two that are equal are one feed over a reload."""

    name: str
    issuer: str
    jwks_uri: str | None  # None: discovery
    ca: Path | None
    refresh: float  # seconds
    max_stale: float  # seconds
    state: Path | None  # directory for the last good keys; None: they are not kept


class JwksFeed:
    """One issuer's keys. Fulfils the stage's KeySource."""

    def __init__(
        self,
        settings: JwksSettings,
        *,
        clock: Callable[[], float],
        on_refresh: OnRefresh | None = None,
        cooldown: float = COOLDOWN,
    ) -> None:
        """`clock`: wall clock, seconds since the epoch; `cooldown`: seconds."""
        self.settings = settings
        self._clock = clock
        self._on_refresh = on_refresh
        self._cooldown = cooldown
        named = [settings.issuer] if settings.jwks_uri is None else [settings.issuer, settings.jwks_uri]
        hosts = frozenset(host for host in (urlsplit(url).hostname for url in named) if host)
        self._fetcher = Fetcher(Egress(hosts), settings.ca)
        self._uri = settings.jwks_uri
        self._keys: KeySet | None = None
        self._digest = b""
        self._began = clock()
        self._fetched = 0.0  # seconds since the epoch; 0 while nothing was
        self._unkept: bytes | None = None  # published, and not written down yet
        self._asked = -float("inf")  # the loop's clock, at the last fetch for a request
        self._failures = 0
        self._tried = asyncio.Event()
        self._flight: asyncio.Task[None] | None = None
        self._refresher: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"JwksFeed({self.settings.name!r}, {self._keys!r}, {self._failures} failures)"

    @property
    def current(self) -> KeySet | None:
        """The keys in force; None while there are none that can be relied on."""
        return self._keys

    @property
    def failing(self) -> bool:
        """True while the last refresh failed, for `/readyz?verbose`."""
        return self._failures > 0

    def age(self) -> float | None:
        """Seconds since the keys were fetched; None when they never were."""
        return max(0.0, self._clock() - self._fetched) if self._fetched else None

    def unconfirmed(self) -> float:
        """Seconds since the keys were fetched, or since they are wanted where they never were."""
        return max(0.0, self._clock() - (self._fetched or self._began))

    def start(self) -> None:
        """Take up the last good keys, and begin to refresh."""
        if self._refresher is None:
            self._recall()
            if self._keys is not None:
                self._tried.set()
            self._refresher = asyncio.get_running_loop().create_task(self._run())

    async def tried(self) -> None:
        """Return once there are keys, or the first try to fetch them is over."""
        await self._tried.wait()

    async def close(self) -> None:
        """Stop refreshing; the keys stay readable."""
        tasks = [task for task in (self._refresher, self._flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._refresher = self._flight = None

    async def refetch(self) -> None:
        """Fetch for an unknown kid unless that was done within the cooldown; joins a fetch that is under way."""
        now = asyncio.get_running_loop().time()
        if self._flight is None:
            if now - self._asked < self._cooldown:
                return
            self._asked = now
        await self._load(rediscover=False)

    async def _run(self) -> None:
        while True:
            await self._load(rediscover=True)
            if self._unkept is not None:
                body, self._unkept = self._unkept, None
                await asyncio.to_thread(self._keep, body)
            if self._failures:
                longest = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(self._failures - 1, 10))
                await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
            else:
                await asyncio.sleep(self.settings.refresh * random.uniform(0.8, 1.0))  # noqa: S311

    async def _load(self, *, rediscover: bool) -> None:
        """One fetch, shared by whoever asks meanwhile."""
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_task(self._fetch(rediscover=rediscover))
            self._flight.add_done_callback(self._landed)
        await asyncio.wait((self._flight,))  # a waiter that goes does not end the fetch, nor its end the waiter

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flight = None
        self._tried.set()
        error = None if flight.cancelled() else flight.exception()
        if error is not None:
            self._failed(f"a fault of the gateway's own: {type(error).__name__}")

    async def _fetch(self, *, rediscover: bool) -> None:
        settings = self.settings
        try:
            if self._uri is None or (rediscover and settings.jwks_uri is None):
                self._uri = await discover_jwks_uri(settings.issuer, self._fetcher)
            body = await self._fetcher.get(self._uri)
            self._publish(body)
        except (FetchError, ValueError, OSError) as error:
            self._failed(str(error))
            return
        if self._failures:
            log.info("issuer %s: its keys are available again", settings.name)
        self._failures = 0
        if self._on_refresh is not None:
            self._on_refresh(settings.name, True)

    def _publish(self, body: bytes) -> None:
        digest = sha256(body).digest()
        if self._keys is None or digest != self._digest:  # an equal set stays the same object: caches hang on it
            keys = parse_key_set(body)
            for alarm in keys.alarms:
                log.warning("issuer %s: %s", self.settings.name, alarm)
            self._keys, self._digest = keys, digest
        self._fetched = self._clock()
        self._unkept = body

    def _failed(self, why: str) -> None:
        name = self.settings.name
        self._failures += 1
        if self._on_refresh is not None:
            self._on_refresh(name, False)
        if self._keys is not None and self._clock() - self._fetched > self.settings.max_stale:
            log.error("issuer %s: its last good keys are too old to be used any longer", name)
            self._keys = None
        elif self._failures == 1:
            serving = "its last good keys serve on" if self._keys else "its tokens are answered 503 until they are"
            log.warning("issuer %s: its keys cannot be fetched (%s); %s; retrying", name, why, serving)

    def _file(self) -> Path | None:
        if self.settings.state is None:
            return None
        source = f"{self.settings.issuer}\n{self.settings.jwks_uri or ''}"
        return self.settings.state / "keys" / f"{sha256(source.encode()).hexdigest()[:32]}.json"

    def _keep(self, body: bytes) -> None:
        """Write the last good keys down, for a start while the issuer is down. Failing to is no failure."""
        path = self._file()
        if path is None:
            return
        text = json.dumps({"issuer": self.settings.issuer, "fetched": self._fetched, "jwks": body.decode()})
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = path.with_suffix(f".{os.getpid()}.tmp")
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            written.replace(path)
        except OSError as error:
            log.debug("issuer %s: its keys cannot be kept in %s: %s", self.settings.name, path, error)

    def _recall(self) -> None:
        """Take up the keys that were kept, unless they are too old or another issuer's."""
        path = self._file()
        if path is None:
            return
        try:
            kept = parse_object(path.read_bytes())
            fetched, jwks = kept.get("fetched"), kept.get("jwks")
            if kept.get("issuer") != self.settings.issuer or not isinstance(jwks, str):
                return
            if not isinstance(fetched, int | float) or not 0 <= self._clock() - fetched <= self.settings.max_stale:
                return
            self._keys, self._digest = parse_key_set(jwks.encode()), sha256(jwks.encode()).digest()
            self._fetched = float(fetched)
        except (OSError, NotStrict, ValueError):
            return
