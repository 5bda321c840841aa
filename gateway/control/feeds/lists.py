"""Revocation lists from a URL, fetched into a file of the state directory: over restarts, and for every worker.

Rule: a list is judged whole before it takes the place of the last good one: by its shape, its issuer's signature, its
dates, and that it is no older; fetched at the latest half-way to its nextUpdate, within bounds.
Invariant: the file holds a list that could be used when it was fetched; who reads it judges it for itself.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from gateway.control.feeds.fetch import Fetcher, FetchError
from gateway.control.feeds.kept import turn
from gateway.control.health import CRL, FileHealth
from gateway.kernel.egress import Egress
from gateway.kernel.x509.crl import Revocations

_FIRST_RETRY, _LONGEST_RETRY = 0.5, 30.0  # seconds, doubled at each failure
_JUST_NOW = 5.0  # seconds: so old is a list at most that a start takes from another worker without asking itself
_LONGEST = 32 << 20  # bytes
_TOTAL = 60.0  # seconds for all of a list

Judge = Callable[[bytes], Revocations]  # raises ValueError for what is no successor of any list


@dataclass(frozen=True, slots=True)
class ListSettings:
    """Where a list is: two that are equal are one feed over a reload."""

    url: str
    ca: Path | None  # a private authority of the server's certificate; None: the system's
    refresh: float  # seconds from one fetch to the next, at most
    state: Path  # the directory for what outlives the process

    @property
    def path(self) -> Path:
        """The file, of this URL alone."""
        return self.state / "lists" / f"{sha256(self.url.encode()).hexdigest()[:32]}.pem"


class ListFeed:
    """One list. See Feed."""

    def __init__(
        self,
        name: str,
        settings: ListSettings,
        judge: Judge,
        *,
        health: FileHealth,
        clock: Callable[[], float],
    ) -> None:
        """`name`: the authority's, for people; `judge`: reads lists by that authority's roots; `clock`: wall clock."""
        self.name = name
        self.settings = settings
        self._judge = judge
        self._health = health
        self._clock = clock
        host = urlsplit(settings.url).hostname or ""
        self._fetcher = Fetcher(
            Egress(frozenset([host])), settings.ca, total=_TOTAL, limit=_LONGEST, accept="application/pkix-crl"
        )
        self._failures = 0
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"ListFeed({self.name!r}, {self._failures} failures)"

    def start(self) -> None:
        """Begin to fetch."""
        if self._task is None:
            with contextlib.suppress(OSError):  # before who watches the file looks for its directory
                self.settings.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def tried(self) -> None:
        """Return once the first try is over."""
        await self._tried.wait()

    async def close(self) -> None:
        """Stop; the file stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        fresh = _JUST_NOW
        while True:
            pace = await self._turn(fresh)
            self._tried.set()
            fresh = pace * 0.8
            spread = 0.8 + random.random() / 5  # noqa: S311 - spreads load, guards nothing
            await asyncio.sleep(pace * spread)

    async def _turn(self, fresh: float) -> float:
        """One fetch, unless the list is younger than `fresh` seconds; the seconds to the next."""
        path = self.settings.path
        async with turn(path):
            held, age = await asyncio.to_thread(self._held)
            if held is not None and 0 <= age < fresh:
                return max(1.0, self._pace(held) - age)
            try:
                document = await self._fetcher.get(self.settings.url)
                got = await asyncio.to_thread(self._take, document.body, held)
            except (FetchError, ValueError, OSError) as error:
                return self._failed(str(error), held)
        if self._failures or held is None:
            self._health.took(CRL, self.name)
        self._failures = 0
        return self._pace(got)

    def _held(self) -> tuple[Revocations | None, float]:
        """What the file holds, and how old that is."""
        try:
            return self._judge(self.settings.path.read_bytes()), self._clock() - self.settings.path.stat().st_mtime
        except (OSError, ValueError):
            return None, 0.0

    def _take(self, body: bytes, held: Revocations | None) -> Revocations:
        """Put a list in the place of the one before. Raises ValueError, OSError."""
        got, now = self._judge(body), self._clock()
        if got.lapses < now:
            raise ValueError("the list is out of date")
        if held is not None and got.older_than(held):
            raise ValueError("the list is older than the one at work")
        fresh = self.settings.path.with_suffix(f".{os.getpid()}.tmp")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(got.pem())
        os.utime(fresh, (now, now))
        fresh.replace(self.settings.path)
        return got

    def _pace(self, held: Revocations) -> float:
        """Seconds from a fetch to the next."""
        shortest = min(60.0, self.settings.refresh)
        return min(self.settings.refresh, max(shortest, (held.lapses - self._clock()) / 2))

    def _failed(self, why: str, held: Revocations | None) -> float:
        self._failures += 1
        if self._failures == 1:
            (self._health.kept if held is not None else self._health.missing)(CRL, self.name, why)
        return min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(self._failures - 1, 10), self.settings.refresh)
