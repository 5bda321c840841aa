"""Bundles and revocation lists: from files, and from where SPIFFE hands bundles on.

Rule: each authority is read whole and checked whole; one that cannot be used keeps its last good self, and one whose
bundle was not had yet stands there as unknown.
Invariant: `current` is one object as long as nothing changed, so a verdict that hangs on it is known to be fresh.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography import x509

from gateway.control.feeds.bundle_endpoint import BundleEndpoint, EndpointSettings
from gateway.control.feeds.feed import FeedError, Watched
from gateway.control.feeds.lists import ListFeed, ListSettings
from gateway.control.feeds.watch import FileWatch
from gateway.control.feeds.workload_api import WorkloadApi, WorkloadSettings
from gateway.control.health import BUNDLE, FileHealth
from gateway.kernel.cells import Metrics
from gateway.kernel.patterns.values import compile_values
from gateway.kernel.x509.crl import BY_FILE, ListRules, Revocations, parse_lists
from gateway.kernel.x509.ocsp import StatusRules
from gateway.kernel.x509.trust import (
    Authority,
    ClientAuthority,
    Trust,
    authority_of,
    check_lists,
    make_authority,
    unknown_authority,
)

_Roots: TypeAlias = tuple[x509.Certificate, ...] | None  # None: they were not had yet


@dataclass(frozen=True, slots=True)
class AuthorityFiles:
    """One trust domain, or one client authority with the names that it may vouch for."""

    name: str
    bundle: Path | EndpointSettings | WorkloadSettings
    crl: Path | None
    names: tuple[str, ...] = ()
    rules: ListRules = BY_FILE
    fetched: ListSettings | None = None  # what fetches the lists into the file `crl`
    status: StatusRules | None = None  # how its certificates are asked about (OCSP)


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
        before: "TrustFeed | None" = None,
        workload: WorkloadApi | None = None,
        health: FileHealth | None = None,
        watch: FileWatch | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`before`: whose fetched bundles are good to begin with; `workload`: for bundles of the Workload API.

        `clock`: wall clock, seconds since the epoch. Raises FeedError when a file cannot be used.
        """
        self.settings = settings
        self._health = health if health is not None else FileHealth(Metrics())
        self._watch = watch if watch is not None else FileWatch()
        self._clock = clock
        self.generation = 0  # counts what was published, for status and tests
        self._vouchers = {
            held.name: compile_values(held.names, ignore_case=True) for held in settings.client_authorities
        }
        self._watched = {held: Watched(*_paths(held)) for held in (*settings.domains, *settings.client_authorities)}
        self._given: dict[AuthorityFiles, _Roots] = {}  # of bundles that do not lie in files
        self._workload = workload
        self._endpoints = [
            self._endpoint(held, held.bundle, before)
            for held in settings.domains
            if isinstance(held.bundle, EndpointSettings)
        ]
        self._take_workload()
        self._authorities: dict[AuthorityFiles, Authority] = {}
        for held, watched in self._watched.items():
            watched.changed()
            try:
                self._authorities[held] = _read(held, self._given.get(held))
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
        """Begin to look at the files, and to fetch."""
        if self._poller is None and self._watched:
            self._poller = asyncio.get_running_loop().create_task(self._run())
        for feed in self._fetching():
            feed.start()
        if self._workload is not None:
            self._workload.on_bundles(self._renew)
            self._renew()

    async def tried(self) -> None:
        """Return once each list and bundle that is fetched was asked for once, and taken up."""
        for feed in self._fetching():
            await feed.tried()
        if self._lists:
            self.reload()

    async def close(self) -> None:
        """Stop looking at the files, and fetching."""
        if self._workload is not None:
            self._workload.off_bundles(self._renew)
        for feed in self._fetching():
            await feed.close()
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
            self._poller = None

    def _fetching(self) -> list[ListFeed | BundleEndpoint]:
        return [*self._lists, *self._endpoints]

    def reload(self) -> None:
        """Take up the files that changed."""
        changed = [held for held, watched in self._watched.items() if watched.changed()]
        if self._take(changed, self._read_all(changed)):
            self._current = self._publish()

    async def _run(self) -> None:
        bell = self._watch.bell(*(path for held in self._watched for path in _paths(held)))
        try:
            while True:
                await bell.wait()
                changed = [held for held, watched in self._watched.items() if watched.changed()]
                if changed:  # a long revocation list takes a while to read: not on the loop
                    given = [self._given.get(held) for held in changed]
                    read = await asyncio.to_thread(self._read_all, changed)
                    if any(self._given.get(held) is not roots for held, roots in zip(changed, given, strict=True)):
                        read = self._read_all(changed)  # another bundle came meanwhile
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

    def _read_all(self, changed: list[AuthorityFiles]) -> list[Authority | ValueError]:
        return [_try_read(held, self._given.get(held)) for held in changed]

    def _endpoint(self, held: AuthorityFiles, settings: EndpointSettings, before: "TrustFeed | None") -> BundleEndpoint:
        old = [one for one in before._endpoints if one.settings == settings] if before is not None else []  # noqa: SLF001 - its own kind
        made = BundleEndpoint(
            held.name,
            settings,
            lambda roots: self._take_fetched(held, roots),
            before=next(iter(old), None),
            health=self._health,
            clock=self._clock,
            watch=self._watch,
        )
        self._given[held] = made.current.anchors if made.current is not None else None
        return made

    def _take_workload(self) -> bool:
        """Take up what the Workload API gives now; True when something differs."""
        bundles = self._workload.bundles if self._workload is not None else None
        if bundles is None:
            return False
        before = dict(self._given)
        for held in self.settings.domains:
            if isinstance(held.bundle, WorkloadSettings):
                self._given[held] = bundles.get(held.name, ())  # it is federated no longer: all of it is revoked
        return self._given != before

    def _renew(self) -> None:
        if self._take_workload():
            self._retake([held for held in self.settings.domains if isinstance(held.bundle, WorkloadSettings)])

    def _take_fetched(self, held: AuthorityFiles, roots: "_Roots") -> None:
        self._given[held] = roots
        self._retake([held])

    def _retake(self, changed: list[AuthorityFiles]) -> None:
        """Other bundles than before; the revocation lists are those on the disk."""
        if self._take(changed, self._read_all(changed)):
            self._current = self._publish()
            self._watch.ring()

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
    return [path for path in (held.bundle, held.crl) if isinstance(path, Path)]


def _read(held: AuthorityFiles, given: "_Roots" = None) -> Authority:
    """`given`: its roots, where its bundle lies in no file. Raises ValueError with a line that names the file."""
    path = held.crl
    try:
        lists = None
        if path is not None:
            lists = path.read_bytes() if held.fetched is None or path.exists() else b""
        if not isinstance(held.bundle, Path):
            if given is None:
                return unknown_authority(held.name)
            return authority_of(held.name, given, lists, held.rules, held.status)
        path = held.bundle
        return make_authority(held.name, path.read_bytes(), lists, held.rules, held.status)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{held.name}: {' or '.join(map(str, _paths(held)))}: {error}") from None


def _try_read(held: AuthorityFiles, given: "_Roots") -> Authority | ValueError:
    try:
        return _read(held, given)
    except ValueError as error:
        return error


def _out_of_date(held: AuthorityFiles, found: Authority, now: float) -> str | None:
    """Why files that can be read are no successors of those at work: nothing in them is in date any more."""
    if found.anchors and all(anchor.not_valid_after_utc.timestamp() < now for anchor in found.anchors):
        return f"{held.bundle}: every certificate in it has expired"
    if found.revocations is not None and found.revocations.ends < now:
        return f"{held.crl}: its revocation lists are out of date"
    return None
