"""Bundles and revocation lists from files.

Rule: each authority's files are read whole and checked whole; one that cannot be used keeps its last good self.
Invariant: `current` is one object as long as nothing changed, so a verdict that hangs on it is known to be fresh.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.control.feeds.feed import FeedError, Watched
from gateway.control.feeds.lists import ListFeed, ListSettings
from gateway.control.feeds.watch import FileWatch
from gateway.control.health import BUNDLE, FileHealth
from gateway.kernel.cells import Metrics
from gateway.kernel.patterns.values import compile_values
from gateway.kernel.x509.crl import BY_FILE, ListRules, Revocations, parse_lists
from gateway.kernel.x509.trust import Authority, ClientAuthority, Trust, check_lists, make_authority


@dataclass(frozen=True, slots=True)
class AuthorityFiles:
    """One trust domain, or one client authority with the names that it may vouch for."""

    name: str
    bundle: Path
    crl: Path | None
    names: tuple[str, ...] = ()
    rules: ListRules = BY_FILE
    fetched: ListSettings | None = None  # what fetches the lists into the file `crl`


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """What a trust feed hangs on: two that are equal are one feed over a reload."""

    domains: tuple[AuthorityFiles, ...]
    client_authorities: tuple[AuthorityFiles, ...]


class TrustFeed:
    """All that client certificates are judged against. Fulfils the stage's TrustSource."""

    def __init__(
        self,
        settings: TrustSettings,
        *,
        health: FileHealth | None = None,
        watch: FileWatch | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock`: wall clock, seconds since the epoch. Raises FeedError when a file cannot be used."""
        self.settings = settings
        self._health = health if health is not None else FileHealth(Metrics())
        self._watch = watch if watch is not None else FileWatch()
        self._clock = clock
        self.generation = 0  # counts what was published, for status and tests
        self._vouchers = {
            held.name: compile_values(held.names, ignore_case=True) for held in settings.client_authorities
        }
        self._watched = {held: Watched(*_paths(held)) for held in (*settings.domains, *settings.client_authorities)}
        self._authorities: dict[AuthorityFiles, Authority] = {}
        for held, watched in self._watched.items():
            watched.changed()
            try:
                self._authorities[held] = _read(held)
            except ValueError as error:
                raise FeedError(str(error)) from None
        self._current = self._publish()
        self._lists = [self._list_feed(held, held.fetched) for held in self._watched if held.fetched is not None]
        self._poller: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"TrustFeed(generation {self.generation}, {list(self._authorities.values())!r})"

    @property
    def current(self) -> Trust:
        """What is in force."""
        return self._current

    def start(self) -> None:
        """Begin to look at the files."""
        if self._poller is None and self._watched:
            self._poller = asyncio.get_running_loop().create_task(self._run())
        for feed in self._lists:
            feed.start()

    async def tried(self) -> None:
        """Return once each list that is fetched was asked for once, and taken up."""
        for feed in self._lists:
            await feed.tried()
        if self._lists:
            self.reload()

    async def close(self) -> None:
        """Stop looking at the files, and fetching."""
        for feed in self._lists:
            await feed.close()
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
            self._poller = None

    def reload(self) -> None:
        """Take up the files that changed."""
        changed = [held for held, watched in self._watched.items() if watched.changed()]
        if self._take(changed, [_try_read(held) for held in changed]):
            self._current = self._publish()

    async def _run(self) -> None:
        bell = self._watch.bell(*(path for held in self._watched for path in _paths(held)))
        try:
            while True:
                await bell.wait()
                changed = [held for held, watched in self._watched.items() if watched.changed()]
                if changed:  # a long revocation list takes a while to read: not on the loop
                    read = await asyncio.to_thread(lambda held: [_try_read(one) for one in held], changed)
                    if self._take(changed, read):
                        self._current = self._publish()
        finally:
            bell.close()

    def _take(self, changed: list[AuthorityFiles], read: list[Authority | ValueError]) -> bool:
        """Keep what can be used; True when something differs from before."""
        differs = False
        for held, found in zip(changed, read, strict=True):
            trouble = str(found) if isinstance(found, ValueError) else _out_of_date(held, found, self._clock())
            if isinstance(found, ValueError) or trouble is not None:
                self._tell(held, trouble)
                continue
            self._tell(held, None)
            if found.digest != self._authorities[held].digest:
                self._authorities[held] = found
                differs = True
        return differs

    def _list_feed(self, held: AuthorityFiles, settings: ListSettings) -> ListFeed:
        def judge(data: bytes) -> Revocations:
            lists = parse_lists(data)
            check_lists(lists, self._authorities[held].anchors)
            return Revocations(lists, held.rules)

        return ListFeed(held.name, settings, judge, health=self._health, clock=self._clock)

    def _tell(self, held: AuthorityFiles, trouble: str | None) -> None:
        if trouble is None:
            self._health.took(BUNDLE, held.name)
        else:
            self._health.kept(BUNDLE, held.name, trouble)

    def _publish(self) -> Trust:
        self.generation += 1
        return Trust(
            {held.name: self._authorities[held] for held in self.settings.domains},
            tuple(
                ClientAuthority(self._authorities[held], self._vouchers[held.name])
                for held in self.settings.client_authorities
            ),
        )


def _paths(held: AuthorityFiles) -> list[Path]:
    return [held.bundle] if held.crl is None else [held.bundle, held.crl]


def _read(held: AuthorityFiles) -> Authority:
    """Raises ValueError with a line that names the file."""
    path = held.bundle
    try:
        bundle = path.read_bytes()
        if held.crl is not None:
            path = held.crl
            lists: bytes | None = path.read_bytes() if held.fetched is None or path.exists() else b""
        else:
            lists = None
        return make_authority(held.name, bundle, lists, held.rules)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{held.name}: {' or '.join(map(str, _paths(held)))}: {error}") from None


def _try_read(held: AuthorityFiles) -> Authority | ValueError:
    try:
        return _read(held)
    except ValueError as error:
        return error


def _out_of_date(held: AuthorityFiles, found: Authority, now: float) -> str | None:
    """Why files that can be read are no successors of those at work: nothing in them is in date any more."""
    if all(anchor.not_valid_after_utc.timestamp() < now for anchor in found.anchors):
        return f"{held.bundle}: every certificate in it has expired"
    if found.revocations is not None and found.revocations.ends < now:
        return f"{held.crl}: its revocation lists are out of date"
    return None
