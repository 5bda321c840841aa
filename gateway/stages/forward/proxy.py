"""A route with an upstream: one request to a backend, its answer to the client.

Rule: the usual request needs no task and waits once: an idle connection, no body or one that came whole with the head,
an answer that comes whole and is found by its bytes. Every other is a `Transfer`.
Invariant: what was asked and is not the usual answer is never asked again here.
"""

import asyncio
from collections.abc import Awaitable, Generator, Mapping
from dataclasses import replace
from types import coroutine

from gateway.model.answer import OwnFields
from gateway.model.exchange import DONE, ClientGone, Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders
from gateway.stages.forward.fields import AnswerFields
from gateway.stages.forward.head import RequestHead
from gateway.stages.forward.streams import Streams
from gateway.stages.forward.trailers import RequestTrailers
from gateway.stages.forward.transfer import Begun, Transfer
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.reply import Reply
from gateway.upstreams.usual import Usual

_NEVER = float("inf")


class Proxy:
    """Forwards the requests of one route."""

    _reports = False  # how requests end is told to the cluster

    def __init__(
        self,
        cluster: Cluster,
        head: RequestHead,
        fields: AnswerFields,
        *,
        timeout: float | None,
        max_body: Mapping[str, int],
        streams: Streams,
        trailers: RequestTrailers | None = None,
    ) -> None:
        """`timeout`: seconds, to the end of the answer; `max_body`: bytes by listener.

        `trailers`: those of requests that pass.
        """
        self.cluster = cluster
        self.streams = streams
        self.max_body = max_body
        self.fields = fields
        self.trailers = trailers
        self._head = head
        self._timeout = timeout
        self._prepare()

    def _prepare(self) -> None:
        """What hangs on the upstream's settings alone."""
        self._first = self.cluster.first_timeout  # seconds

    @coroutine  # and not `async`: what it waits for is yielded from here, without a generator between
    def __call__(
        self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders
    ) -> Generator[Reply, None, Outcome]:
        """Raises Refused while no head was sent."""
        head = self._head.__call__(permit, exchange)
        total = _NEVER if self._timeout is None else asyncio.get_running_loop().time() + self._timeout
        cluster, received = self.cluster, exchange.head
        endpoint = cluster.only or cluster.pick(permit)
        connection = endpoint.checkout() if self._may_ask(exchange) else None
        asked, body_in = None, 0
        if connection is not None:
            if received.has_body:
                body = yield from exchange.read().__await__()
                head, body_in = head + body, len(body)
            asked = connection.ask(received.method, self._first, cluster.idle_timeout, total, head)
            exchange.on_gone(connection.client_gone)
            try:
                yield asked
                usual = asked.take()
            except (Refused, ClientGone):
                usual = None  # who awaits `asked` is told once more
            except BaseException:
                exchange.on_gone(None)
                connection.finish(whole=True)
                raise
            if usual is not None:
                exchange.on_gone(None)
                endpoint.put_back(connection, connection.loop.time())
                status, section, body = usual
                known = section.outcome
                if known is not None and known[0] is endpoint.mark and known[1].bytes_in == body_in:
                    outcome = known[1]
                else:
                    outcome = self._ended(usual, endpoint, body_in)
                try:
                    front = self.fields.written(section)
                    if front is not None and type(answer_headers) is OwnFields:
                        sent = exchange.send_written(status, front, answer_headers, body)
                    else:
                        sent = exchange.send_head(status, self.fields(section, answer_headers), body, end=True)
                    if sent is not DONE:
                        yield from sent.__await__()
                except ClientGone:
                    endpoint.count(Reason.CLIENT_GONE)
                    return replace(outcome, reason=Reason.CLIENT_GONE)
                endpoint.ok.value += 1
                if self._reports:
                    cluster.report(endpoint, ok=True)
                return outcome
        begun = Begun(endpoint, head, total, connection, asked, body_in)
        ended: Outcome = yield from self._at_length(permit, exchange, begun, answer_headers).__await__()
        return ended

    def _at_length(self, permit: Permit, exchange: Exchange, begun: Begun, ours: RawHeaders) -> Awaitable[Outcome]:
        """What is not usual, or has no connection yet."""
        return Transfer(self, permit, exchange, begun).carry(ours)

    def _may_ask(self, exchange: Exchange) -> bool:
        """Whether it can go out whole: its body has come, and is no more than the route takes, or there is none."""
        received = exchange.head
        if not received.has_body:
            return True
        length = received.content_length
        return length is not None and exchange.at_hand and length <= self.max_body[exchange.connection.listener]

    def _ended(self, usual: Usual, endpoint: Endpoint, bytes_in: int) -> Outcome:
        """How a request ends well with this answer; kept with its head, which says most of it."""
        status, section, body = usual
        outcome = Outcome(status, self.cluster.name, endpoint.url, bytes_in, len(body))
        section.outcome = endpoint.mark, outcome
        return outcome
