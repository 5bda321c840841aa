"""A route to an upstream with retries, outlier detection or a circuit breaker.

Rule: a request goes out again only when nothing of it left the gateway, or when it is idempotent and its body can be
replayed (RFC 9110 section 9.2.2); retries stay within their budget, wait a jittered while, and obey Retry-After.
Invariant: the client gets one answer: what may still be retried has sent it nothing.
"""

import asyncio
from collections.abc import Generator
from dataclasses import replace
from types import coroutine

from gateway.model.exchange import ClientGone, Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders
from gateway.stages.forward.attempt import Try
from gateway.stages.forward.backoff import backoff, retry_after
from gateway.stages.forward.kept import KeptBody, small
from gateway.stages.forward.proxy import Proxy
from gateway.stages.forward.transfer import IDEMPOTENT, Begun
from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.lost import Lost
from gateway.upstreams.reply import Reply

_NEVER = float("inf")
_PATIENCE = 5.0  # seconds of a Retry-After that are waited for; a longer one is passed on to the client
_BACKENDS_FAULT = frozenset(
    {
        Reason.UPSTREAM_CONNECT,
        Reason.UPSTREAM_IDENTITY,
        Reason.UPSTREAM_PROTOCOL,
        Reason.UPSTREAM_TIMEOUT,
        Reason.UPSTREAM_RESET,
    }
)
_NO_CONNECTION = frozenset({Reason.UPSTREAM_CONNECT, Reason.UPSTREAM_IDENTITY, Reason.UPSTREAM_TIMEOUT})


class ResilientProxy(Proxy):
    """Forwards the requests of one route. The usual request goes as it does everywhere, and is told to the cluster."""

    _reports = True

    def _prepare(self) -> None:
        super()._prepare()
        retries = self.cluster.settings.retries
        self._keeps = retries is not None
        if retries is not None and retries.per_try is not None:
            self._first = min(self._first, retries.per_try)
        # An answer to try again on is judged before it is passed on, and no usual one has a status from 500 up
        self._usually = retries is None or (retries.hedge_after is None and min(retries.statuses, default=500) >= 500)

    @coroutine
    def __call__(
        self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders
    ) -> Generator[Reply, None, Outcome]:
        """Raises Refused while no head was sent."""
        load = self.cluster.load
        try:
            load.enter()
        except Refused as refused:
            refused.upstream = self.cluster.name
            raise
        try:
            outcome: Outcome = yield from super().__call__(permit, exchange, answer_headers)
        finally:
            load.leave()
        return outcome

    def _may_ask(self, exchange: Exchange) -> bool:
        """A body that is to be sent again is kept as it is read."""
        if not exchange.head.has_body:
            return self._usually
        return self._usually and not (self._keeps and exchange.head.method in IDEMPOTENT) and super()._may_ask(exchange)

    async def _at_length(self, permit: Permit, exchange: Exchange, begun: Begun, ours: RawHeaders) -> Outcome:
        request = self.request(permit, exchange, begun)
        try:
            return await request.run(ours)
        finally:
            if request.retrying:
                self.cluster.load.retried()

    def request(self, permit: Permit, exchange: Exchange, begun: Begun) -> "Request":
        """One request."""
        return Request(self, permit, exchange, begun)


class Request:
    """One request, tried once or more."""

    def __init__(self, proxy: Proxy, permit: Permit, exchange: Exchange, begun: Begun) -> None:
        self.retrying = False  # it holds a place among the retries
        self._tries = 0
        self._proxy = proxy
        self._cluster = proxy.cluster
        self._retries = proxy.cluster.settings.retries
        self._permit = permit
        self._begun = begun
        self._total = begun.total  # loop time
        self._idempotent = exchange.head.method in IDEMPOTENT
        keeps = self._retries is not None and self._idempotent and exchange.head.has_body and small(exchange.head)
        self._kept = KeptBody(exchange) if keeps else None
        self._exchange: Exchange = self._kept or exchange
        self._tried: list[Endpoint] = []
        self.current: Try  # whose answer is the client's, if it is one to have

    async def run(self, ours: RawHeaders) -> Outcome:
        """Try until there is an answer to pass on. Raises Refused while no head was sent."""
        while True:
            self.current = self._try(self._next())
            try:
                await self._ask()
                pause = self._unwanted(self.current)
                if pause is None:
                    await self.current.answer(ours)
                    self._report(self.current, None)
                    return self._told(self.current.outcome(None))
                self._report(self.current, None)
                self.current.endpoint.count(None)  # it did answer
            except ClientGone:
                return self._told(self.current.outcome(Reason.CLIENT_GONE))
            except Refused as refused:
                self._report(self.current, refused.reason)
                if self._exchange.started:
                    self._exchange.abort()
                    return self._told(self.current.broken_off(refused))
                failure = self.current.refusal(refused)
                pause = self._pause() if self._failed(self.current, refused) else None
                if pause is None:
                    failure.attempts = self._tries
                    raise failure from None
            finally:
                self.current.give_back()
            try:
                await self._wait(pause)
            except ClientGone:
                url, read = self.current.endpoint.url, self.current.bytes_in
                return self._told(Outcome(0, self._cluster.name, url, read, 0, Reason.CLIENT_GONE))
            self._cluster.repeated("retry")

    async def _ask(self) -> None:
        """Wait for the head of an answer to `current`, or to what took its place. Raises Refused, ClientGone."""
        await self.current.ask()

    def _try(self, endpoint: Endpoint) -> Try:
        return self._try_over(self._exchange, endpoint)

    def _try_over(self, exchange: Exchange, endpoint: Endpoint) -> Try:
        begun = self._begun if self._tries == 1 else Begun(endpoint, self._begun.head, self._total)
        per_try = self._retries.per_try if self._retries is not None else None
        since = asyncio.get_running_loop().time() if begun.connection is None else begun.connection.asked_at
        until = _NEVER if per_try is None else since + per_try
        return Try(self._proxy, self._permit, exchange, begun, until)

    def _told(self, outcome: Outcome) -> Outcome:
        return outcome if self._tries == 1 else replace(outcome, attempts=self._tries)

    def _next(self) -> Endpoint:
        """Another endpoint than those tried, where there is one."""
        endpoint = self._cluster.pick_other(self._permit, self._tried) if self._tried else self._begun.endpoint
        self._tries += 1
        self._tried.append(endpoint)
        if self._kept is not None:
            self._kept.rewind()
        return endpoint

    def _unwanted(self, attempt: Try) -> float | None:
        """How long to wait before the answer is asked for again; None when it goes to the client."""
        retries = self._retries
        if retries is None or attempt.status not in retries.statuses or not self._repeatable(attempt):
            return None
        asked = retry_after(attempt.fields, self._permit.ctx.time)
        return None if asked > _PATIENCE else self._pause(asked)

    def _failed(self, attempt: Try, refused: Refused) -> bool:
        """Whether a try without an answer may be followed by another."""
        retries, reason = self._retries, refused.reason
        if retries is None:
            return False
        if not attempt.sent:
            return retries.connect_failure and reason in _NO_CONNECTION
        if not self._repeatable(attempt):
            return False
        if attempt.late:
            return True
        if reason is Reason.UPSTREAM_CONNECT:
            return retries.connect_failure
        if isinstance(refused, Lost):
            return retries.reset or (retries.refused_stream and refused.untouched and attempt.reused)
        return False

    def _repeatable(self, attempt: Try) -> bool:
        return self._idempotent and (not self._exchange.head.has_body or (self._kept is not None and attempt.uploaded))

    def _pause(self, at_least: float = 0.0) -> float | None:
        """Seconds before another try; None when no more are allowed, or the route's time would run out."""
        retries = self._retries
        if retries is None or self._tries > retries.attempts:
            return None
        pause = max(at_least, backoff(self._tries))
        if asyncio.get_running_loop().time() + pause >= self._total:
            return None
        return pause if self._place() else None

    def _place(self) -> bool:
        """Whether it has a place among the retries: one, however often it is tried."""
        self.retrying = self.retrying or self._cluster.load.retry()
        return self.retrying

    async def _wait(self, seconds: float) -> None:
        """Raises ClientGone."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _settle, over, None)
        self._exchange.on_gone(lambda: _settle(over, ClientGone()))
        try:
            await over
        finally:
            timer.cancel()
            self._exchange.on_gone(None)

    def _report(self, attempt: Try, failed: Reason | None) -> None:
        """Tell the outlier detection; what was the client's fault says nothing of the endpoint."""
        if failed is None:
            self._cluster.report(attempt.endpoint, ok=attempt.status < 500)
        elif failed in _BACKENDS_FAULT:
            self._cluster.report(attempt.endpoint, ok=False)


def _settle(over: "asyncio.Future[None]", failure: Exception | None) -> None:
    if over.done():
        return
    if failure is None:
        over.set_result(None)
    else:
        over.set_exception(failure)
