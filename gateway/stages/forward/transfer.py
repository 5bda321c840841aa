"""One request to a backend at length: with a body, over a fresh connection, or with an answer that comes in pieces.

Rule: head and body that are there together go out together; a request without a body needs no task.
Invariant: an answer that was cut is never ended as if it were whole (H23); no request is sent twice unless RFC 9110
section 9.2.2 allows it and its connection died before a byte of an answer (H22).
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.model.exchange import ClientGone, Exchange, Trailing
from gateway.model.noun import noun
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders
from gateway.stages.forward.streams import AuthorityEnded, Entry
from gateway.stages.forward.trailers import behind, trailing
from gateway.stages.forward.upload import Upload
from gateway.upstreams.connection import Connection
from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.lost import Lost
from gateway.upstreams.reply import Reply

if TYPE_CHECKING:
    from gateway.stages.forward.proxy import Proxy

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_NEVER = float("inf")


@noun
class Begun:
    """A request to an endpoint, as far as it has gone."""

    endpoint: Endpoint
    head: bytes  # and the body, where that was sent with it
    total: float  # loop time: when the route's time is over
    connection: Connection | None = None  # that it was asked on; None: it is yet to be had
    asked: Reply | None = None  # what that one says: it is no usual answer
    bytes_in: int = 0  # of a body, all of which was sent


class Transfer:
    """One request and its answer."""

    __slots__ = (
        "_begun",
        "_bytes_out",
        "_connection",
        "_exchange",
        "_permit",
        "_proxy",
        "_status",
        "_total",
        "_upload",
        "endpoint",
    )

    def __init__(self, proxy: "Proxy", permit: Permit, exchange: Exchange, begun: Begun) -> None:
        self.endpoint = begun.endpoint
        self._begun = begun
        self._proxy = proxy
        self._permit = permit
        self._exchange = exchange
        self._total = begun.total  # loop time
        self._upload: Upload | None = None
        self._connection = begun.connection
        self._status = 0  # that the client was sent
        self._bytes_out = 0

    @property
    def bytes_in(self) -> int:
        """Of the request's body."""
        return self._upload.bytes_in if self._upload is not None else self._begun.bytes_in

    async def carry(self, ours: RawHeaders) -> Outcome:
        """From the request to the end of its answer. Raises Refused while no head was sent."""
        try:
            await self.ask()
            await self.answer(ours)
        except ClientGone:
            return self.outcome(Reason.CLIENT_GONE)
        except Refused as refused:
            if self._exchange.started:
                self._exchange.abort()
                return self.broken_off(refused)
            raise self.refusal(refused) from None
        finally:
            self.give_back()
        return self.outcome(None)

    async def ask(self) -> None:
        """Send the request, unless that is done; wait for the head of the answer; once more where that is safe."""
        head, fresh = self._begun.head, False
        asked: Reply | asyncio.Future[None] | None = self._begun.asked
        connection = self._connection
        while True:
            if asked is None or connection is None:
                connection = None if fresh else self.endpoint.checkout()
                if connection is None:
                    connection = await self._connect(fresh=fresh)
                self._send(connection, head)
                asked = connection.more()
            try:
                await asked
                while not connection.answer.head_done:
                    self._hint(connection)
                    await connection.more()
            except Lost as lost:
                if fresh or not self._repeatable(lost, connection):
                    raise
                lost.settle()
                self.give_back()
                fresh, asked = True, None
            except Refused as refused:
                if self._upload is not None and self._upload.reading and refused.reason is Reason.UPSTREAM_TIMEOUT:
                    raise Refused(Reason.REQUEST_TIMEOUT, "the body did not arrive") from None
                raise
            else:
                return

    def _hint(self, connection: Connection) -> None:
        """It was woken ahead of the answer: by early hints."""
        links = [field for field in self._proxy.fields(connection.answer.take_hints(), []) if field[0] == b"link"]
        if links:
            self._exchange.hint(links)

    def _repeatable(self, lost: Lost, connection: Connection) -> bool:
        """A connection of the pool that was dying when it was used: RFC 9110 section 9.2.2 allows another try."""
        head = self._exchange.head
        return connection.served > 1 and lost.untouched and not head.has_body and head.method in IDEMPOTENT

    def _send(self, connection: Connection, head: bytes) -> None:
        self._connection = connection
        proxy, exchange = self._proxy, self._exchange
        cluster = proxy.cluster
        connection.begin(exchange.head.method, cluster.response_timeout, cluster.idle_timeout, self._total)
        exchange.on_gone(connection.client_gone)
        if exchange.head.has_body:
            limit = proxy.max_body[exchange.connection.listener]
            self._upload = Upload(exchange, connection, head, limit, self._watch, proxy.trailers)
            self._upload.start()
        else:
            connection.write(head)
            connection.sent()

    async def _connect(self, *, fresh: bool) -> Connection:
        """Wait for a connection, as long as the client does. Raises Refused, ClientGone."""
        promise = self.endpoint.request(fresh=fresh)
        loop = asyncio.get_running_loop()
        late = loop.call_at(self._total, _settle, promise, _out_of_time()) if self._total != _NEVER else None
        self._exchange.on_gone(lambda: _settle(promise, ClientGone()))
        try:
            return await promise
        except BaseException:
            if promise.done() and not promise.cancelled() and promise.exception() is None:
                promise.result().abort()  # cancelled in the moment in which it came
            raise
        finally:
            if late is not None:
                late.cancel()

    def answer(self, ours: RawHeaders) -> Awaitable[None]:
        """The answer to the client. Raises Refused, also after the head was sent; ClientGone."""
        connection, exchange, upload = self._connection, self._exchange, self._upload
        if connection is None:
            raise Refused(Reason.INTERNAL, "nothing was asked")
        answer = connection.answer
        self._status = answer.status
        headers = self._proxy.fields(answer.headers, ours)
        if answer.status == 204:
            headers = [field for field in headers if field[0] != b"content-length"]
        body = connection.take()
        self._bytes_out = len(body)
        names: list[bytes] = []
        if answer.declared is not None:
            names = trailing(answer.declared, exchange, self._proxy.fields.passes)
            if names:
                headers.append((b"trailer", b", ".join(names)))
        if answer.complete and not names:
            if upload is not None and not upload.done:
                headers.append((b"connection", b"close"))  # the rest of the client's body is never read
            self.give_back()
            return exchange.send_head(self._status, headers, body, end=True)
        return self._pass_on(connection, headers, body, names)

    async def _pass_on(self, connection: Connection, headers: RawHeaders, body: bytes, names: list[bytes]) -> None:
        """An answer that is not all there yet, or that has a trailer section."""
        exchange = self._exchange
        connection.on_failure = exchange.abort  # also while a slow client holds us up
        entry = self._watch()
        try:
            await exchange.send_head(self._status, headers, body, end=False)
            await self._stream(connection, names)
        except ClientGone:
            if isinstance(connection.failure, Refused):
                raise connection.failure from None  # it was we who broke it off
            raise
        finally:
            entry.leave()

    async def _stream(self, connection: Connection, names: list[bytes]) -> None:
        exchange, answer = self._exchange, connection.answer
        ended = False
        while not ended:
            data = await connection.read()
            self._bytes_out += len(data)
            ended = answer.complete and not answer.chunks
            if ended:
                trailers = behind(answer.trailers, names) if names else []
                self.give_back()
                if trailers and isinstance(exchange, Trailing):
                    await exchange.send_last(data, trailers)
                    return
            await exchange.send(data, end=ended)

    def _watch(self) -> Entry:
        """It goes on for a while: no longer than what authorised it."""
        return self._proxy.streams.enter(self._permit, self._end)

    def _end(self, cause: Refused) -> None:
        if self._connection is not None:
            self._connection.fail(AuthorityEnded(cause))

    def give_back(self) -> None:
        """Done with the connection: to the pool if the exchange on it was whole, else closed."""
        connection, upload = self._connection, self._upload
        if connection is None:
            return
        self._connection = None
        self._exchange.on_gone(None)
        if upload is not None:
            upload.stop()
        connection.finish(whole=upload is None or upload.done)

    def refusal(self, refused: Refused) -> Refused:
        """Count it, and name who failed. Nothing was sent yet, so even an answer that broke off is a plain 502."""
        if refused.reason is Reason.UPSTREAM_RESET:
            refused = Refused(Reason.UPSTREAM_PROTOCOL, refused.detail)
        refused.settle()
        self.endpoint.count(refused.reason)
        if isinstance(refused, AuthorityEnded):
            refused = refused.refused  # while it was still asking: it can be told
        refused.upstream, refused.endpoint = self._proxy.cluster.name, self.endpoint.url
        return refused

    def broken_off(self, refused: Refused) -> Outcome:
        """Count it, and say why a client got half an answer."""
        refused.settle()
        outcome = self.outcome(refused.reason)
        return replace(outcome, cause=refused.cause.code) if isinstance(refused, AuthorityEnded) else outcome

    def outcome(self, reason: Reason | None) -> Outcome:
        """Count it, and say what became of it."""
        self.endpoint.count(reason)
        name, url = self._proxy.cluster.name, self.endpoint.url
        return Outcome(self._status, name, url, self.bytes_in, self._bytes_out, reason)


def _out_of_time() -> Refused:
    return Refused(Reason.UPSTREAM_TIMEOUT, "the route's time ran out before there was a connection")


def _settle(promise: "asyncio.Future[Connection]", failure: Exception) -> None:
    if not promise.done():
        promise.set_exception(failure)
