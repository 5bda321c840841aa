"""The gateway's identity and trust bundles from the SPIFFE Workload API: streams of one connection, for ever reopened.

Rule: an answer is taken whole or not at all; the last good one serves on while the agent is away, until it expires.
Invariant: what is published was judged; a reader never waits.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from gateway.control.feeds.svid import Svid, choose_svid, judge_bundles
from gateway.control.feeds.watch import FileWatch
from gateway.control.health import IDENTITY, FileHealth

if TYPE_CHECKING:
    from gateway.control.feeds.grpc import GrpcConnection

log = logging.getLogger(__name__)

_METADATA = (("workload.spiffe.io", "true"),)  # SPIFFE Workload API section 6.2: against requests that were tricked
_SVIDS = "/SpiffeWorkloadAPI/FetchX509SVID"
_BUNDLES = "/SpiffeWorkloadAPI/FetchX509Bundles"
_CONNECT = 3.0  # seconds
_FIRST_ANSWER = 10.0  # seconds: an agent that knows no identity says so
_FIRST_RETRY, _LONGEST_RETRY = 0.1, 4.0  # seconds
_SCHEME = "unix://"
_NO_IDENTITY = 7  # PERMISSION_DENIED: the agent knows no identity for this process (yet)

Bundles = Mapping[str, tuple[x509.Certificate, ...]]


@dataclass(frozen=True, slots=True)
class WorkloadSettings:
    """What a source hangs on: two that are equal are one over a reload."""

    address: str  # unix:///absolute/path
    hint: str | None = None
    bundles: bool = False  # some trust domain's bundle comes from there

    @property
    def path(self) -> str:
        """Of the socket."""
        return self.address.removeprefix(_SCHEME)


class WorkloadApi:
    """One agent's answers."""

    def __init__(
        self,
        settings: WorkloadSettings,
        before: "WorkloadApi | None" = None,
        *,
        health: FileHealth,
        watch: FileWatch,
        clock: Callable[[], float],
    ) -> None:
        """`before`: of the same agent, whose answers are good to begin with; `watch` is rung at each change."""
        self.settings = settings
        self.generation = 0  # counts changes of the identity
        self.bundles: Bundles | None = None  # None: they were not had yet
        self._health = health
        self._watch = watch
        self._clock = clock
        self._svid: Svid | None = None
        if before is not None and before.settings.address == settings.address:
            self.bundles = before.bundles
            self._svid = before._svid if before.settings.hint == settings.hint else None  # noqa: SLF001 - its own kind
        self._listeners: list[Callable[[], None]] = []
        self._tried = asyncio.Event()
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"WorkloadApi({self.settings.path!r}, {self._svid and self._svid.id}, {self._failures} failures)"

    @property
    def svid(self) -> Svid | None:
        """The gateway's identity; None while there is none in date."""
        held = self._svid
        return held if held is not None and self._clock() <= held.ends else None

    def on_bundles(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever bundles came."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def off_bundles(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def start(self) -> None:
        """Begin to listen to the agent, on the running loop."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._expect_end()

    async def settle(self, seconds: float) -> None:
        """Wait, `seconds` at most, until everything that is wanted was had, or the first try is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # noqa: TID251 - no data path
                await self._tried.wait()

    async def close(self) -> None:
        """Stop listening; what was published stays readable."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        from gateway.control.feeds.grpc import GrpcFailed, open_unix  # h2 is loaded only where it is spoken

        while True:
            connection: GrpcConnection | None = None
            try:
                connection = await open_unix(self.settings.path, _CONNECT)
                await self._listen(connection)
            except (OSError, TimeoutError) as error:
                self._failed(f"{self.settings.path}: {getattr(error, 'strerror', None) or 'no connection'}")
            except GrpcFailed as failed:
                known = "the agent knows no identity for this process" if failed.status == _NO_IDENTITY else str(failed)
                self._failed(f"{self.settings.path}: {known}")
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do
                self._failed(f"{self.settings.path}: a fault of the gateway's own: {type(error).__name__}")
            finally:
                if connection is not None:
                    connection.close()
            pause = min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(self._failures - 1, 10))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing

    async def _listen(self, connection: "GrpcConnection") -> None:
        """Take up answers until a stream ends. Raises GrpcFailed."""
        tasks = [asyncio.ensure_future(self._stream(connection, _SVIDS, self._take_svid))]
        if self.settings.bundles:
            tasks.append(asyncio.ensure_future(self._stream(connection, _BUNDLES, self._take_bundles)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stream(self, connection: "GrpcConnection", method: str, take: Callable[[bytes], None]) -> None:
        async with contextlib.aclosing(connection.stream(method, _METADATA, _FIRST_ANSWER)) as answers:  # type: ignore[type-var]
            async for answer in answers:
                try:
                    take(answer)
                except ValueError as error:
                    self._failed(f"{self.settings.path}: an answer cannot be used: {error}")
                    continue
                if self._svid is not None and (self.bundles is not None or not self.settings.bundles):
                    self._succeeded()

    def _take_svid(self, answer: bytes) -> None:
        fresh = choose_svid(answer, self.settings.hint, self._clock())
        if self._svid is not None and self._svid.digest == fresh.digest:
            return
        self._svid = fresh
        self._changed()
        self._expect_end()
        self._health.took(IDENTITY, IDENTITY)

    def _take_bundles(self, answer: bytes) -> None:
        self.bundles = judge_bundles(answer)
        for listener in tuple(self._listeners):
            listener()

    def _changed(self) -> None:
        self.generation += 1
        self._watch.ring()

    def _expect_end(self) -> None:
        """Be told when the identity ends, should no other have come by then."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._svid is not None:
            left = max(0.0, self._svid.ends - self._clock()) + 1.0
            self._expiry = asyncio.get_running_loop().call_later(left, self._ended, self._svid)

    def _ended(self, svid: Svid) -> None:
        if svid is self._svid:
            self._health.missing(IDENTITY, IDENTITY, "the SVID has expired and the agent gave no other")
            self._changed()

    def _succeeded(self) -> None:
        if self._failures:
            self._health.took(IDENTITY, IDENTITY)
        self._failures = 0
        self._tried.set()

    def _failed(self, why: str) -> None:
        self._failures += 1
        if self._failures == 1:
            tell = self._health.missing if self.svid is None else self._health.kept
            tell(IDENTITY, IDENTITY, why)
        self._tried.set()
