"""Hedging: a second try beside a first one that takes long, and the first answer goes to the client.

Rule: only what a retry may send again is sent twice (idempotent, without a body or with one that was read whole and
kept), within the attempts and the budget of retries, to another endpoint where there is one.
Invariant: the client gets one answer; the connection of the try that was not waited for is closed, never used again.
"""

import asyncio
from collections.abc import Callable

from gateway.model.exchange import ClientGone, Exchange
from gateway.model.permit import Permit
from gateway.model.refused import Refused
from gateway.stages.forward.attempt import Try
from gateway.stages.forward.kept import KeptBody
from gateway.stages.forward.resilient import Request, ResilientProxy
from gateway.stages.forward.transfer import Begun
from gateway.upstreams.endpoint import Endpoint


class HedgingProxy(ResilientProxy):
    """Forwards the requests of one route; its upstream's retries have `hedge_after`."""

    def request(self, permit: Permit, exchange: Exchange, begun: Begun) -> Request:
        return _Hedged(self, permit, exchange, begun)


class _Hedged(Request):
    """One request, with two tries at once at most."""

    def __init__(self, proxy: HedgingProxy, permit: Permit, exchange: Exchange, begun: Begun) -> None:
        super().__init__(proxy, permit, exchange, begun)
        self._watching: dict[_Side, Callable[[], None]] = {}
        self._rival: Try | None = None  # the second try, as long as it may win
        self._race: asyncio.Task[None] | None = None
        self._asking = False  # the first try still waits for its answer
        self._overtaken = False

    def _try(self, endpoint: Endpoint) -> Try:
        return self._try_over(_Side(self._exchange, self._watching), endpoint)

    async def _ask(self) -> None:
        first, retries = self.current, self._retries
        if retries is None or retries.hedge_after is None:
            await super()._ask()
            return
        timer = asyncio.get_running_loop().call_later(retries.hedge_after, self._hedge, first)
        self._asking, self._overtaken = True, False
        failure: Refused | ClientGone | None = None
        try:
            await first.ask()
        except (Refused, ClientGone) as failed:
            failure = failed
        except BaseException:
            self._drop()
            raise
        finally:
            self._asking = False
            timer.cancel()
        await self._settle(first, failure)

    async def _settle(self, first: Try, failure: Refused | ClientGone | None) -> None:
        """The first try ended: with an answer, with none, or because the second one has answered."""
        rival, race = self._rival, self._race
        if rival is None or race is None:
            if failure is not None:
                raise failure
            return
        if not self._overtaken and (isinstance(failure, ClientGone) or (failure is None and self._wanted(first))):
            self._drop()
            if failure is not None:
                raise failure
            return
        if self._overtaken:
            first.endpoint.overtaken()
            first.abandon()
        else:
            self._lost(first, failure)
        self.current, self._rival = rival, None
        try:
            await race
        except BaseException:
            race.cancel()
            raise
        finally:
            self._race = None

    def _hedge(self, first: Try) -> None:
        """The first try has no answer yet: begin a second, where that is safe and allowed."""
        retries = self._retries
        has_body = self._exchange.head.has_body
        safe = self._idempotent and (not has_body or (self._kept is not None and first.sent and first.uploaded))
        if retries is None or not safe or self._tries > retries.attempts or not self._place():
            return
        try:
            self._rival = rival = self._try(self._next())
        except Refused:
            return
        self._cluster.repeated("hedge")
        self._race = asyncio.get_running_loop().create_task(rival.ask())
        self._race.add_done_callback(self._answered)

    def _answered(self, race: "asyncio.Task[None]") -> None:
        """The second try ended. While the first one waits it wins with an answer, and is forgotten without."""
        rival, failure = self._rival, None if race.cancelled() else race.exception()
        if race is not self._race or rival is None or not self._asking or race.cancelled():
            return
        if failure is None and self._wanted(rival):
            self._overtaken = True
            _leave(self.current)
            return
        self._rival = self._race = None
        self._lost(rival, failure)

    def _wanted(self, attempt: Try) -> bool:
        """An answer that is not one of those to try again on."""
        return self._retries is None or attempt.status not in self._retries.statuses

    def _lost(self, attempt: Try, failure: BaseException | None) -> None:
        """It ended without an answer that is wanted, and another try goes on."""
        if isinstance(failure, Refused):
            self._report(attempt, failure.reason)
            attempt.refusal(failure)
        elif failure is None:
            self._report(attempt, None)
            attempt.endpoint.count(None)
        attempt.abandon()

    def _drop(self) -> None:
        """Nobody waits for the second try any more."""
        rival, race = self._rival, self._race
        self._rival = self._race = None
        if rival is None or race is None:
            return
        _leave(rival)  # now: a connection that comes free is not for it
        race.cancel()
        rival.endpoint.overtaken()
        rival.abandon()


def _leave(attempt: Try) -> None:
    if isinstance(attempt.exchange, _Side):
        attempt.exchange.leave()


class _Side(KeptBody):
    """The client as one of the tries sees it: that it went away is told to each."""

    __slots__ = ("_watching",)

    def __init__(self, exchange: Exchange, watching: "dict[_Side, Callable[[], None]]") -> None:
        super().__init__(exchange)
        self._watching = watching

    async def read(self) -> bytes:
        return await self._exchange.read()

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        if callback is None:
            self._watching.pop(self, None)
        else:
            self._watching[self] = callback
        self._exchange.on_gone(self._gone if self._watching else None)

    def leave(self) -> None:
        """The try is not wanted any more: as if its client had left."""
        callback = self._watching.pop(self, None)
        if callback is not None:
            callback()

    def _gone(self) -> None:
        callbacks = list(self._watching.values())
        self._watching.clear()
        for callback in callbacks:
            callback()
