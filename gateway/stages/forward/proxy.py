"""A route with an upstream: one request to a backend, its answer to the client.

Rule: head and body that are there together go out together; the common case needs no task and waits once.
Invariant: an answer that was cut is never ended as if it were whole (H23); no request is sent twice unless RFC 9110
section 9.2.2 allows it and its connection died before a byte of an answer (H22).
"""

import asyncio

from gateway.model.exchange import ClientGone, Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders
from gateway.stages.forward.fields import AnswerFields, nominated_by
from gateway.stages.forward.head import RequestHead
from gateway.stages.forward.upload import Upload
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.connection import Connection, Lost
from gateway.upstreams.endpoint import Endpoint

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_NEVER = float("inf")


class Proxy:
    """Forwards the requests of one route."""

    def __init__(
        self, cluster: Cluster, head: RequestHead, fields: AnswerFields, *, timeout: float | None, max_body: int
    ) -> None:
        """`timeout`: seconds, to the end of the answer; `max_body`: bytes."""
        self.cluster = cluster
        self._head = head
        self._fields = fields
        self._timeout = timeout
        self._max_body = max_body

    async def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        """Raises Refused while no head was sent."""
        head = self._head(permit, exchange)
        total = asyncio.get_running_loop().time() + self._timeout if self._timeout is not None else _NEVER
        endpoint = self.cluster.pick()
        transfer = _Transfer(self, exchange, endpoint, total)
        try:
            return await transfer.run(head, answer_headers)
        except ClientGone:
            return transfer.outcome(Reason.CLIENT_GONE)
        except Refused as refused:
            if not exchange.started:
                transfer.count(refused.reason)
                refused.upstream, refused.endpoint = self.cluster.name, endpoint.url
                raise
            exchange.abort()
            return transfer.outcome(refused.reason)

    def answer_fields(self, connection: Connection, ours: RawHeaders) -> RawHeaders:
        """The fields of a backend's answer as the client gets them."""
        nominated = None
        for name, value in connection.answer.headers:
            if name == b"connection" and value not in (b"keep-alive", b"close"):
                nominated = nominated_by([value.decode("latin-1")])
        return self._fields(connection.answer.headers, nominated, ours)

    @property
    def max_body(self) -> int:
        """Bytes of request body that the route takes."""
        return self._max_body


class _Transfer:
    """One request and its answer."""

    __slots__ = ("_connection", "_exchange", "_proxy", "_total", "_upload", "bytes_out", "endpoint", "status")

    def __init__(self, proxy: Proxy, exchange: Exchange, endpoint: Endpoint, total: float) -> None:
        self._proxy = proxy
        self._exchange = exchange
        self._total = total  # loop time
        self._upload: Upload | None = None
        self._connection: Connection | None = None
        self.endpoint = endpoint
        self.status = 0  # that the client was sent
        self.bytes_out = 0

    async def run(self, head: bytes, ours: RawHeaders) -> Outcome:
        try:
            connection = await self._ask(head)
            await self._answer(connection, ours)
        finally:
            if self._connection is not None:  # not given back: something ended it early
                self._give_back()
        return self.outcome(None)

    async def _ask(self, head: bytes) -> Connection:
        """Send the request, wait for the head of the answer; once more where that is safe."""
        connection = await self._send(head, fresh=False)
        try:
            await connection.head()
        except Lost as lost:
            if not lost.untouched or connection.served == 1 or not self._repeatable:
                raise
            self._give_back()
            connection = await self._send(head, fresh=True)
            await connection.head()
        except Refused as refused:
            if self._upload is not None and self._upload.reading and refused.reason is Reason.UPSTREAM_TIMEOUT:
                raise Refused(Reason.REQUEST_TIMEOUT, "the body did not arrive") from None
            raise
        return connection

    @property
    def _repeatable(self) -> bool:
        head = self._exchange.head
        return not head.has_body and head.method in _IDEMPOTENT

    async def _send(self, head: bytes, *, fresh: bool) -> Connection:
        connection = None if fresh else self.endpoint.checkout()
        if connection is None:
            connection = await self._connect(fresh)
        self._connection = connection
        exchange, cluster = self._exchange, self._proxy.cluster
        connection.begin(exchange.head.method, cluster.response_timeout, cluster.idle_timeout, self._total)
        exchange.on_gone(connection.client_gone)
        if exchange.head.has_body:
            self._upload = Upload(exchange, connection, head, self._proxy.max_body)
            self._upload.start()
        else:
            connection.write(head)
            connection.sent()
        return connection

    async def _connect(self, fresh: bool) -> Connection:
        """Wait for a connection, as long as the client does. Raises Refused, ClientGone."""
        promise = self.endpoint.request(fresh=fresh)
        loop = asyncio.get_running_loop()
        late = loop.call_at(self._total, _settle, promise, _late()) if self._total != _NEVER else None
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

    async def _answer(self, connection: Connection, ours: RawHeaders) -> None:
        exchange, answer, upload = self._exchange, connection.answer, self._upload
        self.status = status = answer.status
        headers = self._proxy.answer_fields(connection, ours)
        if status == 204:
            headers = [field for field in headers if field[0] != b"content-length"]
        body = answer.take()
        self.bytes_out += len(body)
        if answer.complete:
            if upload is not None and not upload.done:
                headers.append((b"connection", b"close"))  # the rest of the client's body is never read
            self._give_back()
            await exchange.send_head(status, headers, body, end=True)
            return
        connection.on_failure = exchange.abort  # also while a slow client holds us up
        try:
            await self._stream(connection, status, headers, body)
        except ClientGone:
            if isinstance(connection.failure, Refused):
                raise connection.failure from None  # it was we who broke it off
            raise

    async def _stream(self, connection: Connection, status: int, headers: RawHeaders, body: bytes) -> None:
        exchange, answer = self._exchange, connection.answer
        await exchange.send_head(status, headers, body, end=False)
        ended = False
        while not ended:
            data = await connection.read()
            self.bytes_out += len(data)
            ended = answer.complete and not answer.chunks
            if ended:
                self._give_back()
            await exchange.send(data, end=ended)

    def _give_back(self) -> None:
        upload, connection = self._upload, self._connection
        self._exchange.on_gone(None)
        self._connection = None
        if upload is not None:
            upload.stop()
        if connection is not None:
            connection.finish(whole=upload is None or upload.done)

    def count(self, reason: Reason | None) -> None:
        self.endpoint.count(reason)

    def outcome(self, reason: Reason | None) -> Outcome:
        self.count(reason)
        bytes_in = self._upload.bytes_in if self._upload is not None else 0
        return Outcome(self.status, self._proxy.cluster.name, self.endpoint.url, bytes_in, self.bytes_out, reason)


def _late() -> Refused:
    return Refused(Reason.UPSTREAM_TIMEOUT, "the route's time ran out before there was a connection")


def _settle(promise: "asyncio.Future[Connection]", failure: Exception) -> None:
    if not promise.done():
        promise.set_exception(failure)
