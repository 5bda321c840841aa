"""A WebSocket through the gateway: its handshake judged on both sides, its frames untouched (RFC 6455).

Rule: nothing of what the client sends behind its handshake reaches the backend before the backend's own 101 was
verified; one that is none is answered 502 (security rule H27).
Invariant: a tunnel lasts no longer than what authorised it; the client is then told by a Close with its code.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias

from gateway.model.exchange import ClientGone, Exchange, Upgradable
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestContext, UpgradeHead
from gateway.stages.forward.fields import AnswerFields
from gateway.stages.forward.frames import Frames, close_frame
from gateway.stages.forward.handshake import asking, verified
from gateway.stages.forward.head import RequestHead
from gateway.stages.forward.proxy import Proxy
from gateway.stages.forward.stage import Way
from gateway.stages.forward.streams import AuthorityEnded, Streams
from gateway.stages.forward.transfer import Begun, Transfer
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.connection import Connection

_PATIENCE = 0.3  # seconds that a frame has to end before a tunnel is broken off in the middle of it
_PROTOCOL = b"sec-websocket-protocol"

Farewell: TypeAlias = tuple[int, str]  # code and reason of a Close


class Upgrading:
    """A route that takes WebSockets beside other requests."""

    def __init__(self, way: Way, tunnels: Way) -> None:
        self._way = way
        self._tunnels = tunnels

    async def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        """Raises Refused while no head was sent."""
        way = self._tunnels if isinstance(exchange.head, UpgradeHead) else self._way
        return await way(permit, exchange, answer_headers)


class TunnelProxy(Proxy):
    """Carries the WebSockets of one route to one upstream."""

    def __init__(
        self,
        cluster: Cluster,
        head: RequestHead,
        fields: AnswerFields,
        *,
        max_body: Mapping[str, int],
        streams: Streams,
        token_subprotocol: str | None,
    ) -> None:
        """`max_body`: bytes by listener; `token_subprotocol`: the name under which a client may send its token."""
        super().__init__(cluster, head, fields, timeout=None, max_body=max_body, streams=streams)
        self.marker = None if token_subprotocol is None else token_subprotocol.encode("ascii")

    async def __call__(  # type: ignore[override] # it is awaited, no more
        self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders
    ) -> Outcome:
        """Raises Refused while no head was sent."""
        if not isinstance(exchange, Upgradable):
            raise Refused(Reason.UPGRADE_REFUSED, "this server cannot leave HTTP")
        cluster = self.cluster
        head = asking(self._head(permit, exchange), permit.ctx)
        try:
            cluster.load.enter()
        except Refused as refused:
            refused.upstream = cluster.name
            raise
        try:
            begun = Begun(cluster.pick(permit), head, float("inf"))  # a route's `timeout` is never one of a tunnel
            return await Tunnel(self, permit, exchange, begun, self.marker).run(answer_headers)
        finally:
            cluster.load.leave()


class Tunnel(Transfer):
    """One handshake, and what follows it."""

    __slots__ = ("_blocked", "_bytes_in", "_client", "_down", "_ending", "_marker", "_timer", "_up")

    def __init__(self, proxy: Proxy, permit: Permit, client: Upgradable, begun: Begun, marker: bytes | None) -> None:
        super().__init__(proxy, permit, client, begun)
        self._client = client
        self._marker = marker
        self._up, self._down = Frames(), Frames()
        self._bytes_in = 0
        self._blocked = False  # it waits for a client that does not read
        self._ending: Refused | None = None  # why we end it
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, ours: RawHeaders) -> Outcome:
        """From the handshake to the end. Raises Refused while no head was sent."""
        report = self._proxy.cluster.report
        try:
            await self.ask()
            connection = self._connection
            assert connection is not None  # noqa: S101 - for the type checker: it was asked
            report(self.endpoint, ok=connection.answer.status < 500)
            if connection.answer.status == 101:
                return await self._carry(connection, ours)
            await self.answer(ours)
        except ClientGone:
            return self._outcome(Reason.CLIENT_GONE)
        except Refused as refused:
            if self._client.started:
                self._client.abort()
                return self.broken_off(refused)
            report(self.endpoint, ok=refused.reason.status < 500)
            raise self.refusal(refused) from None
        finally:
            self.give_back()
        return self._outcome(None)

    def give_back(self) -> None:
        if self._connection is not None:
            self._connection.answer.reusable = False  # it was asked to leave HTTP
        super().give_back()

    def _send(self, connection: Connection, head: bytes) -> None:
        super()._send(connection, head)
        connection.answer.upgrades = True

    async def _carry(self, connection: Connection, ours: RawHeaders) -> Outcome:
        """The tunnel. Raises ClientGone, and Refused while no head was sent."""
        ctx = self._permit.ctx
        fields = verified(connection.answer.headers, ctx)
        fields += self._subprotocol(connection.answer.headers, ctx)
        await self._client.switch(self._proxy.fields(fields, ours) + _SWITCHED)
        self._status = 101
        connection.on_failure = self._unblock
        connection.touch()
        entry = self._proxy.streams.enter(self._permit, self._end, self._drain)
        upward = asyncio.get_running_loop().create_task(self._upward(connection))
        try:
            failure = await self._downward(connection)
            return await self._part(self._ending or failure)
        finally:
            entry.leave()
            upward.cancel()
            if self._timer is not None:
                self._timer.cancel()

    def _subprotocol(self, fields: RawHeaders, ctx: RequestContext) -> RawHeaders:
        """What the client is told that was chosen. Raises Refused(UPSTREAM_PROTOCOL) for what was not offered."""
        chosen = [value.strip(b" \t") for name, value in fields if name.lower() == _PROTOCOL]
        if chosen:
            if len(chosen) > 1 or chosen[0].decode("latin-1") not in ctx.values.get("sec-websocket-protocol", ()):
                raise Refused(Reason.UPSTREAM_PROTOCOL, "the backend chose a subprotocol that was not offered")
            return [(_PROTOCOL, chosen[0])]
        marker = self._marker
        asked = (value for name, value in self._client.head.headers if name == _PROTOCOL)
        # a browser that offered something takes nothing for a refusal: the name is chosen that only carried its token
        return [(_PROTOCOL, marker)] if marker is not None and any(marker in value for value in asked) else []

    async def _upward(self, connection: Connection) -> None:
        """From the client to the backend, no faster than that takes it."""
        try:
            while data := await self._client.read():
                if self._ending is not None:
                    return
                self._bytes_in += len(data)
                self._up.feed(data)
                connection.write(data)
                await connection.drain()
        except Exception as failure:  # noqa: BLE001 - told where the other direction waits
            connection.fail(failure, flush=True)

    async def _downward(self, connection: Connection) -> Exception | None:
        """From the backend to the client; returns what ended it, None when the backend did."""
        try:
            while data := await connection.read():
                if self._ending is not None and connection.failure is not None:
                    break
                self._bytes_out += len(data)
                ends = self._down.feed(data)
                if self._ending is not None and ends >= 0:
                    await self._pass(data[:ends])
                    self._break(connection)
                    break
                await self._pass(data)
        except (ClientGone, Refused) as failure:
            return connection.failure or failure
        return connection.failure

    async def _pass(self, data: bytes) -> None:
        self._blocked = True
        await self._client.send(data, end=False)
        self._blocked = False

    def _unblock(self) -> None:
        """The backend's side ended: nobody waits any longer for a client that does not read."""
        if self._blocked:
            self._client.abort()

    # The end

    def _drain(self) -> None:
        self._stop(Refused(Reason.DRAINING, "the process ends"))

    def _end(self, cause: Refused) -> None:
        self._stop(AuthorityEnded(cause))

    def _stop(self, why: Refused) -> None:
        """End it, now or where the frame ends that is on its way to the client."""
        connection = self._connection
        if connection is None or self._ending is not None:
            return
        self._ending = why
        if self._down.between:
            self._break(connection)
        else:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._break, connection)

    def _break(self, connection: Connection) -> None:
        why = self._ending
        if why is not None:
            farewell = _farewell(why)
            if farewell is not None and self._up.between and not self._up.closed:
                connection.write(close_frame(*farewell, masked=True))
            connection.fail(why, flush=True)

    async def _part(self, failure: Exception | None) -> Outcome:
        """Say why to the client, where something can be said; what became of it all."""
        closed = self._up.closed or self._down.closed
        farewell = _farewell(failure)
        if isinstance(failure, ClientGone):
            reason: Reason | None = Reason.CLIENT_GONE
        elif isinstance(failure, Refused):
            reason = failure.reason
        else:
            reason = Reason.UPSTREAM_RESET if failure is None else Reason.INTERNAL
        if farewell is not None and self._down.between and not self._down.closed and not self._blocked:
            with suppress(ClientGone):
                await self._client.send(close_frame(*farewell), end=True)
        elif closed:
            self._client.hang_up()
        else:
            self._client.abort()
        if closed and farewell is None:
            reason = None  # one side took its leave: who hangs up first says nothing
        cause = failure.cause.code if isinstance(failure, AuthorityEnded) else None
        return self._outcome(reason, cause)

    def _outcome(self, reason: Reason | None, cause: str | None = None) -> Outcome:
        self.endpoint.count(reason)
        name = self._proxy.cluster.name
        return Outcome(self._status, name, self.endpoint.url, self._bytes_in, self._bytes_out, reason, cause)


_SWITCHED: RawHeaders = [(b"upgrade", b"websocket")]


def _farewell(failure: Exception | None) -> Farewell | None:
    """What the client is told of an end that is ours; None for one that is not."""
    if isinstance(failure, AuthorityEnded):
        return failure.cause.websocket_code, failure.cause.wire
    if isinstance(failure, Refused) and failure.reason in (Reason.DRAINING, Reason.UPSTREAM_TIMEOUT):
        return failure.reason.websocket_code, "idle" if failure.reason is Reason.UPSTREAM_TIMEOUT else "draining"
    return None
