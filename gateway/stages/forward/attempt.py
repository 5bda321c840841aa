"""One try of a request that may be tried again.

Rule: its own time ends at the head of its answer; what it sent is known, for a retry hangs on that.
"""

import asyncio

from gateway.model.exchange import Exchange
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders
from gateway.stages.forward.proxy import Proxy
from gateway.stages.forward.transfer import Begun, Transfer
from gateway.upstreams.connection import Connection

_NEVER = float("inf")


class Try(Transfer):
    """One try, with a time of its own to the head of the answer."""

    __slots__ = ("_until", "fields", "late", "reused", "sent", "status")

    def __init__(self, proxy: Proxy, permit: Permit, exchange: Exchange, begun: Begun, until: float) -> None:
        """`until`: loop time."""
        super().__init__(proxy, permit, exchange, begun)
        connection = begun.connection
        self._until = until
        self.status = 0  # of the answer
        self.fields: RawHeaders = []  # of the answer
        self.sent = connection is not None  # something of the request may have left the gateway
        self.reused = connection is not None and connection.served > 1  # that had carried another request
        self.late = False  # the try's own time ran out

    @property
    def uploaded(self) -> bool:
        """The whole body was read and handed over."""
        return self._upload is None or self._upload.done

    async def ask(self) -> None:
        timer = None
        if self._until != _NEVER:
            timer = asyncio.get_running_loop().call_at(self._until, self._give_up)
        try:
            await super().ask()
        except Refused as refused:
            # it was told to the connection, where that was asked ahead of the try
            out_of_time = refused.reason is Reason.UPSTREAM_TIMEOUT and asyncio.get_running_loop().time() >= self._until
            self.late = self.late or out_of_time
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if self._connection is not None:
            answer = self._connection.answer
            self.status, self.fields = answer.status, answer.headers

    async def _connect(self, *, fresh: bool) -> Connection:
        cluster = self._proxy.cluster
        cluster.load.wait(cluster.connections("waiting"))
        total = self._total
        self._total = min(total, self._until)
        try:
            return await super()._connect(fresh=fresh)
        finally:
            self._total = total

    def _send(self, connection: Connection, head: bytes) -> None:
        self.sent = True
        self.reused = connection.served > 0
        super()._send(connection, head)

    @property
    def exchange(self) -> Exchange:
        """The client, as this try sees it."""
        return self._exchange

    def abandon(self) -> None:
        """Nobody waits for it any more: its connection is closed, whatever came on it."""
        if self._connection is not None:
            self._connection.client_gone()
        self.give_back()
        self._exchange.on_gone(None)

    def _give_up(self) -> None:
        self.late = True
        if self._connection is not None:
            self._connection.fail(Refused(Reason.UPSTREAM_TIMEOUT, "the try took too long"))
