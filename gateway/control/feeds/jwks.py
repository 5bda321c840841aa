"""An issuer's keys, fetched: refreshed in the background, asked for again for an unknown kid.

Rule: one fetch in flight, one refetch a cooldown, over all workers of a state directory; what one fetched all take up.
The last good keys serve until `max_stale`, then none do (503).
Invariant: one issuer's trouble touches no other; a flood of unknown kids costs one fetch a cooldown and evicts nothing.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from gateway.control.feeds.discovery import discover_jwks_uri
from gateway.control.feeds.feed import Watched
from gateway.control.feeds.fetch import Fetcher, FetchError
from gateway.control.feeds.kept import Kept, KeptKeys
from gateway.control.feeds.watch import FileWatch
from gateway.kernel.egress import Egress
from gateway.stages.authenticate.keys import KeySet, parse_key_set

log = logging.getLogger(__name__)

OnRefresh = Callable[[str, bool], None]  # the issuer's name in routes.yaml; did the refresh succeed
_FIRST_RETRY = 0.5  # seconds, doubled at each failure
_LONGEST_RETRY = 30.0
_SHORTEST_PACE = 30.0  # seconds between refreshes, however soon the provider calls its answer stale
_JUST_NOW = 5.0  # seconds: so old are keys at most that a start takes up from another worker without asking itself
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


class JwksFeed:
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
        self.settings = settings
        self._clock = clock
        self._on_refresh = on_refresh
        self._cooldown = cooldown
        self._watch = watch if watch is not None else FileWatch()
        named = [settings.issuer] if settings.jwks_uri is None else [settings.issuer, settings.jwks_uri]
        hosts = frozenset(host for host in (urlsplit(url).hostname for url in named) if host)
        self._fetcher = Fetcher(Egress(hosts), settings.ca)
        self._uri = settings.jwks_uri
        self._kept = (
            KeptKeys(settings.state, settings.issuer, settings.jwks_uri) if settings.state is not None else None
        )
        self._keys: KeySet | None = None
        self._digest = b""
        self._began = clock()
        self._fetched = 0.0  # seconds since the epoch; 0 while nothing was
        self._pace = settings.refresh  # seconds from one fetch to the next
        self._demanded = -float("inf")  # the last fetch for an unknown kid, by `clock`
        self._failures = 0
        self._tried = asyncio.Event()
        self._due = asyncio.Event()  # set when the pace changed: another retry, or keys that another worker fetched
        self._flight: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

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
        if self._tasks:
            return
        loop = asyncio.get_running_loop()
        if self._kept is not None:
            self._kept.prepare()
            self._take_up(self._kept.read())
            self._tasks.append(loop.create_task(self._listen(self._kept)))
        self._tasks.append(loop.create_task(self._run()))

    async def tried(self) -> None:
        """Return once there are keys, or the first try to fetch them is over."""
        await self._tried.wait()

    async def close(self) -> None:
        """Stop refreshing; the keys stay readable."""
        tasks, self._tasks = self._tasks, []
        if self._flight is not None:
            tasks.append(self._flight)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._flight = None

    async def refetch(self) -> bool:
        """Fetch for an unknown kid unless that was done within the cooldown; joins a fetch that is under way.

        False when the issuer could not be asked: whether it has such a key is not known, and the one back-off retries.
        """
        if self._flight is None:
            if self._failures or 0 <= self._clock() - self._demanded < self._cooldown:
                return not self._failures
            self._demanded = self._clock()
            self._take_off(demanded=True)
        await self._landing()
        return not self._failures

    async def _run(self) -> None:
        self._take_off()
        while True:
            await self._landing()
            self._due.clear()
            timer = asyncio.get_running_loop().call_later(self._pause(), self._due.set)
            failures, fetched = self._failures, self._fetched
            await self._due.wait()
            timer.cancel()
            if (failures, fetched) == (self._failures, self._fetched):  # else only the pace is another now
                self._take_off()

    def _pause(self) -> float:
        """Seconds to the next fetch, spread so that neither workers nor replicas ask all at once."""
        spread: float = random.random()  # noqa: S311 - spreads load, guards nothing
        if self._failures:
            longest = min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(self._failures - 1, 10))
            return longest * (0.5 + spread / 2)
        return max(0.0, self._pace * (0.8 + spread / 5) - (self.age() or 0.0))

    async def _listen(self, kept: KeptKeys) -> None:
        """Take up at once what another worker fetched."""
        watched, bell = Watched(kept.path), self._watch.bell(kept.path)
        try:
            while True:
                if watched.changed():
                    self._take_up(await asyncio.to_thread(kept.read))
                await bell.wait()
        finally:
            bell.close()

    def _take_off(self, *, demanded: bool = False) -> None:
        """Begin a fetch, unless one is under way. `demanded`: for an unknown kid."""
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_task(self._fetch(demanded=demanded))
            self._flight.add_done_callback(self._landed)

    async def _landing(self) -> None:
        """Wait for the fetch that is under way: a waiter that goes does not end it, nor its end the waiter."""
        if self._flight is not None:
            await asyncio.wait((self._flight,))

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flight = None
        self._tried.set()
        error = None if flight.cancelled() else flight.exception()
        if error is not None:
            self._failed(f"a fault of the gateway's own: {type(error).__name__}")

    async def _fetch(self, *, demanded: bool) -> None:
        """One fetch, unless another process has just made it."""
        if self._kept is None:
            await self._ask(rediscover=not demanded)
            return
        async with self._kept.turn():
            began, kept = self._fetched, await asyncio.to_thread(self._kept.read)
            self._take_up(kept)
            if kept is not None and demanded and 0 <= self._clock() - kept.demanded < self._cooldown:
                self._demanded = kept.demanded
                return
            fresh = self._pace * 0.8 if self._fetched > began else min(_JUST_NOW, self._pace / 2)
            if not demanded and self._fetched and self._clock() - self._fetched < fresh:
                return
            body = await self._ask(rediscover=not demanded)
            if body is not None:
                held = Kept(body, self._fetched, max(0.0, self._demanded), self._pace)
                await asyncio.to_thread(self._kept.write, held)

    async def _ask(self, *, rediscover: bool) -> bytes | None:
        """Ask the issuer; the answer's body when it can be used."""
        settings = self.settings
        try:
            if self._uri is None or (rediscover and settings.jwks_uri is None):
                self._uri = await discover_jwks_uri(settings.issuer, self._fetcher)
            document = await self._fetcher.get(self._uri)
            self._publish(document.body)
        except (FetchError, ValueError, OSError) as error:
            self._failed(str(error))
            return None
        self._fetched = self._clock()
        lifetime = settings.refresh if document.lifetime is None else max(_SHORTEST_PACE, document.lifetime)
        self._pace = min(settings.refresh, lifetime)
        self._succeeded()
        if self._on_refresh is not None:
            self._on_refresh(settings.name, True)
        return document.body

    def _take_up(self, kept: Kept | None) -> None:
        """Use what was kept, unless ours is as new, or it is too old or not to be used."""
        if kept is None or kept.fetched <= self._fetched:
            return
        if not 0 <= self._clock() - kept.fetched <= self.settings.max_stale:
            return
        try:
            self._publish(kept.body)
        except ValueError:
            return
        self._fetched = kept.fetched
        self._pace = min(self.settings.refresh, kept.pace or self.settings.refresh)
        self._demanded = max(self._demanded, kept.demanded)
        self._succeeded()

    def _publish(self, body: bytes) -> None:
        digest = sha256(body).digest()
        if self._keys is None or digest != self._digest:  # an equal set stays the same object: caches hang on it
            keys = parse_key_set(body)
            for alarm in keys.alarms:
                log.warning("issuer %s: %s", self.settings.name, alarm)
            self._keys, self._digest = keys, digest

    def _succeeded(self) -> None:
        if self._failures:
            log.info("issuer %s: its keys are available again", self.settings.name)
        self._failures = 0
        self._tried.set()
        self._due.set()

    def _failed(self, why: str) -> None:
        name = self.settings.name
        self._failures += 1
        self._due.set()
        if self._on_refresh is not None:
            self._on_refresh(name, False)
        if self._keys is not None and self._clock() - self._fetched > self.settings.max_stale:
            log.error("issuer %s: its last good keys are too old to be used any longer", name)
            self._keys = None
        elif self._failures == 1:
            serving = "its last good keys serve on" if self._keys else "its tokens are answered 503 until they are"
            log.warning("issuer %s: its keys cannot be fetched (%s); %s; retrying", name, why, serving)
