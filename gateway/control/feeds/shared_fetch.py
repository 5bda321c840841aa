"""A document that is fetched again and again, shared by all workers of a state directory.

Rule: one fetch in flight, one that is demanded a cooldown; what one process fetched all take up; a failure is retried
with a growing pause.
Invariant: the last good document serves on, over restarts too, until it is `max_stale`; one document's trouble touches
no other.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable

from gateway.control.feeds.feed import Watched
from gateway.control.feeds.fetch import FetchError
from gateway.control.feeds.kept import Kept, KeptKeys
from gateway.control.feeds.watch import FileWatch

_FIRST_RETRY = 0.5  # seconds, doubled at each failure
_LONGEST_RETRY = 30.0
_PAST = 0.05  # seconds past `max_stale`, for a failure to find that it is over
_JUST_NOW = 5.0  # seconds: so old is a document at most that a start takes up from another worker without asking itself


class SharedFetch(ABC):
    """Keeps one document fresh. What it is, and what becomes of it, say the methods below."""

    def __init__(
        self,
        kept: KeptKeys | None,
        *,
        pace: float,
        longest: float,
        max_stale: float,
        cooldown: float,
        clock: Callable[[], float],
        watch: FileWatch | None,
    ) -> None:
        """`kept`: where it is shared; None: nowhere. `watch`: tells of what other workers fetched.

        `pace`: seconds from a fetch to the next until `_get` says better, at most `longest`. `clock`: wall clock.
        """
        self._clock = clock
        self._cooldown = cooldown
        self._max_stale = max_stale
        self._watch = watch if watch is not None else FileWatch()
        self._kept = kept
        self._began = clock()
        self._fetched = 0.0  # seconds since the epoch; 0 while nothing was
        self._pace = pace
        self._longest = longest
        self._demanded = -float("inf")  # the last fetch that was demanded, by `clock`
        self._failures = 0
        self._tried = asyncio.Event()
        self._due = asyncio.Event()  # set when the pace changed: another retry, or what another worker fetched
        self._flight: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @abstractmethod
    async def _get(self, *, anew: bool) -> tuple[bytes, float]:
        """The document, once it was put to work, and the pace from now on. `anew`: look up again where it is.

        Raises FetchError, ValueError, OSError.
        """

    @abstractmethod
    def _use(self, body: bytes) -> None:
        """Put a document to work that was fetched earlier, or by another worker. Raises ValueError."""

    @abstractmethod
    def _told(self, why: str | None, *, ours: bool, first: bool, gone: bool) -> None:
        """A fetch went well (`why` is None), or not. `ours`: it was not another worker's.

        `first`: after one of the other kind; `gone`: what there was is too old now.
        """

    @property
    def failing(self) -> bool:
        """True while the last fetch failed, for `/readyz?verbose`."""
        return self._failures > 0

    def age(self) -> float | None:
        """Seconds since it was fetched; None when it never was."""
        return max(0.0, self._clock() - self._fetched) if self._fetched else None

    def unconfirmed(self) -> float:
        """Seconds since it was fetched, or since it is wanted where it never was."""
        return max(0.0, self._clock() - (self._fetched or self._began))

    def start(self) -> None:
        """Take up the last good document, and begin to fetch."""
        if self._tasks:
            return
        loop = asyncio.get_running_loop()
        if self._kept is not None:
            self._kept.prepare()
            self._take_up(self._kept.read())
            self._tasks.append(loop.create_task(self._listen(self._kept)))
        self._tasks.append(loop.create_task(self._run()))

    async def tried(self) -> None:
        """Return once there is a document, or the first try to fetch it is over."""
        await self._tried.wait()

    async def close(self) -> None:
        """Stop fetching; what was published stays readable."""
        tasks, self._tasks = self._tasks, []
        if self._flight is not None:
            tasks.append(self._flight)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._flight = None

    async def refetch(self) -> bool:
        """Fetch on demand unless that was done within the cooldown; joins a fetch that is under way.

        False when nobody could be asked: the one back-off retries.
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
            pause = longest * (0.5 + spread / 2)
            age = self.age()
            left = self._max_stale - age if age is not None else -1.0
            return min(pause, left + _PAST) if left >= 0 else pause  # not long past the end of what there is
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
        """Begin a fetch, unless one is under way."""
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
            await self._ask(anew=not demanded)
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
            body = await self._ask(anew=not demanded)
            if body is not None:
                held = Kept(body, self._fetched, max(0.0, self._demanded), self._pace)
                await asyncio.to_thread(self._kept.write, held)

    async def _ask(self, *, anew: bool) -> bytes | None:
        """Fetch it; the document when it can be used."""
        try:
            body, self._pace = await self._get(anew=anew)
        except (FetchError, ValueError, OSError) as error:
            self._failed(str(error))
            return None
        self._fetched = self._clock()
        self._succeeded()
        return body

    def _take_up(self, kept: Kept | None) -> None:
        """Use what was kept, unless ours is as new, or it is too old or not to be used."""
        if kept is None or kept.fetched <= self._fetched:
            return
        if not 0 <= self._clock() - kept.fetched <= self._max_stale:
            return
        try:
            self._use(kept.body)
        except ValueError:
            return
        self._fetched = kept.fetched
        self._pace = min(self._longest, kept.pace or self._longest)
        self._demanded = max(self._demanded, kept.demanded)
        self._succeeded(ours=False)

    def _succeeded(self, *, ours: bool = True) -> None:
        first, self._failures = self._failures > 0, 0
        self._told(None, ours=ours, first=first, gone=False)
        self._tried.set()
        self._due.set()

    def _failed(self, why: str) -> None:
        self._failures += 1
        self._due.set()
        gone = bool(self._fetched) and self._clock() - self._fetched > self._max_stale
        self._told(why, ours=True, first=self._failures == 1, gone=gone)
