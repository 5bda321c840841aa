"""What ended before its time, shared: what one process learns all know within a second.

Rule: an event is in force here before it is acknowledged, and acknowledged only when it is written down for the others.
Invariant: a store that is down takes nothing away: what is known stays in force, and the log is read on afterwards.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from gateway.control.feeds.revocation_logs import RevocationLog
from gateway.kernel.store import StoreUnavailable
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.revoked import Revocation, RevokedTokens

log = logging.getLogger(__name__)

PACE = 0.2  # seconds between two looks at the log
_SWEEP = 300  # looks after which what is over is dropped
_RETRY_AFTER = 5  # seconds


class RevocationFeed:
    """Keeps `tokens` at what the log says. Long-lived: see Feed."""

    def __init__(self, tokens: RevokedTokens, shared: RevocationLog, *, clock: Callable[[], float]) -> None:
        """`tokens`: may hold what an earlier feed knew; `clock`: wall clock, seconds since the epoch."""
        self.tokens = tokens
        self.shared = shared
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self.trouble: str | None = None  # why the log cannot be read, for /readyz?verbose

    def __repr__(self) -> str:
        return f"RevocationFeed({self.tokens!r}, {self.shared!r})"

    def start(self) -> None:
        """Begin to read."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def tried(self) -> None:
        """Return once the log was read, or could not be."""
        await self._tried.wait()

    async def close(self) -> None:
        """Stop reading; what is known stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def end(self, revocations: Sequence[Revocation], event: str, life: float) -> bool:
        """Refuse these from now on, here at once; False when this event was taken before.

        Raises Refused(STORE_UNAVAILABLE) when the others cannot be told: here it holds all the same.
        """
        try:
            first = await self.shared.append(revocations, event, life, self._clock())
        except (OSError, StoreUnavailable) as error:
            self.tokens.take(revocations)
            raise Refused(
                Reason.STORE_UNAVAILABLE, f"a revocation cannot be shared: {error}", retry_after=_RETRY_AFTER
            ) from None
        if first:
            self.tokens.take(revocations)
        return first

    async def _run(self) -> None:
        looks = 0
        while True:
            await self._look()
            self._tried.set()
            looks += 1
            if looks % _SWEEP == 0:
                self.tokens.forget(self._clock())
            await asyncio.sleep(PACE)

    async def _look(self) -> None:
        try:
            found = await self.shared.read()
        except (OSError, StoreUnavailable) as error:
            if self.trouble is None:
                log.warning("the list of revoked tokens cannot be read (%s): what is known of it stays in force", error)
            self.trouble = str(error)
            return
        if self.trouble is not None:
            log.info("the list of revoked tokens is read again")
        self.trouble = None
        self.tokens.take(found)
        self.tokens.known = True
