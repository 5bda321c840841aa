"""The pool of one endpoint.

Rule: the connection used last is used next, so that surplus ones grow old and end; nothing here costs more with a
larger pool. Invariant: `open` connections (being opened, at work, idle) are never more than `connections.max`.
"""

import asyncio
from collections import deque
from collections.abc import Mapping

from gateway.kernel.cells import Counter
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.connection import Connection
from gateway.upstreams.dialer import Dialer
from gateway.upstreams.identity import UpstreamTls
from gateway.upstreams.settings import ConnectionSettings, EndpointSettings, TimeoutSettings

OK = "ok"
RESULTS = (
    OK,
    *(
        reason.code
        for reason in (
            Reason.UPSTREAM_CONNECT,
            Reason.UPSTREAM_IDENTITY,
            Reason.UPSTREAM_PROTOCOL,
            Reason.UPSTREAM_UNAVAILABLE,
            Reason.UPSTREAM_TIMEOUT,
            Reason.UPSTREAM_RESET,
            Reason.CLIENT_GONE,
        )
    ),
)


class Endpoint:
    """One address of an upstream and the connections to it; the owner of each."""

    def __init__(
        self,
        settings: EndpointSettings,
        connections: ConnectionSettings,
        timeouts: TimeoutSettings,
        dialer: Dialer,
        tls: UpstreamTls | None,
        results: Mapping[str, Counter],
    ) -> None:
        """`results`: a counter for each of RESULTS."""
        self.url = settings.url
        self.weight = settings.weight
        self._settings = connections
        self._connect_timeout = timeouts.connect
        self._dialer = dialer
        self._tls = tls
        self._results = results
        self._idle: dict[Connection, None] = {}  # in the order in which they came back
        self._active: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._retired = False
        self._oldest = 0.0  # loop time: a connection born before it belongs to a generation that is gone

    @property
    def open(self) -> int:
        """Connections that count against `connections.max`."""
        return len(self._idle) + len(self._active) + len(self._connecting)

    @property
    def load(self) -> int:
        """Requests at work and waiting."""
        return len(self._active) + len(self._waiting)

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def active(self) -> int:
        """Connections that carry a request."""
        return len(self._active)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiting)

    def count(self, result: str) -> None:
        """A request to this endpoint ended with `result`, one of RESULTS."""
        self._results[result].inc()

    def checkout(self) -> Connection | None:
        """An idle connection, the one used last; None when there is none."""
        if not self._idle:
            return None
        connection, _ = self._idle.popitem()
        self._active.add(connection)
        return connection

    def request(self, *, fresh: bool = False) -> "asyncio.Future[Connection]":
        """A promise of a connection: an idle one (not if `fresh`), else the next that is opened or comes back.

        It fails with Refused(UPSTREAM_*). Who does not want it any more cancels it; who got a connection must `finish`
        or `abort` it.
        """
        loop = asyncio.get_running_loop()
        promise: asyncio.Future[Connection] = loop.create_future()
        idle = None if fresh else self.checkout()
        if idle is not None:
            promise.set_result(idle)
        elif len(self._waiting) >= self._settings.max_pending:
            promise.set_exception(Refused(Reason.UPSTREAM_UNAVAILABLE, "too many requests wait for a connection"))
        else:
            self._waiting.append(promise)
            timer = loop.call_later(self._connect_timeout, self._expire, promise)
            promise.add_done_callback(lambda _: timer.cancel())
            self._open_more()
        return promise

    def put_back(self, connection: Connection, now: float) -> None:
        settings = self._settings
        ends = connection.born + settings.max_age
        if not settings.reuse or self._retired or now >= ends or connection.born < self._oldest:
            connection.close()
            return
        if self._waiting and self._give(connection):
            return
        self._active.discard(connection)
        self._idle[connection] = None
        connection.expect(min(now + settings.idle, ends))

    def dropped(self, connection: Connection) -> None:
        self._active.discard(connection)
        self._idle.pop(connection, None)
        self._open_more()

    def rotate(self, tls: UpstreamTls | None) -> None:
        """New certificates: new connections use them, idle ones end now, those at work when their answer is whole."""
        self._tls = tls
        self._oldest = asyncio.get_running_loop().time()
        self._close_idle()

    def retire(self) -> None:
        """Gone from the config: keep nothing; requests that still hold a permit for it get a connection each."""
        self._retired = True
        self._close_idle()

    def abort(self) -> None:
        """Break off everything: the process ends."""
        self._retired = True
        for task in list(self._connecting):
            task.cancel()
        for connection in [*self._idle, *self._active]:
            connection.abort()

    def _close_idle(self) -> None:
        for connection in list(self._idle):
            connection.close()

    def _open_more(self) -> None:
        """As many as requests wait for, as far as `max` goes."""
        while len(self._connecting) < len(self._waiting) and self.open < self._settings.max:
            task = asyncio.get_running_loop().create_task(self._open())
            self._connecting.add(task)

    async def _open(self) -> None:
        task = asyncio.current_task()
        try:
            connection = await self._dialer(self, self._tls)
        except Refused as refused:
            self._connecting.discard(task)  # type: ignore[arg-type]  # a task runs this
            self._refuse(refused)
            self._open_more()
        else:
            self._connecting.discard(task)  # type: ignore[arg-type]
            self._active.add(connection)
            if not self._give(connection):
                self.put_back(connection, connection.born)
        finally:
            self._connecting.discard(task)  # type: ignore[arg-type]

    def _give(self, connection: Connection) -> bool:
        """To who has waited longest; False when nobody waits."""
        while self._waiting:
            promise = self._waiting.popleft()
            if not promise.done():
                promise.set_result(connection)
                return True
        return False

    def _refuse(self, refused: Refused) -> None:
        while self._waiting:
            promise = self._waiting.popleft()
            if not promise.done():
                promise.set_exception(refused)
                return

    def _expire(self, promise: "asyncio.Future[Connection]") -> None:
        if promise.done():
            return
        if self._connecting:
            promise.set_exception(Refused(Reason.UPSTREAM_TIMEOUT, f"no connection in {self._connect_timeout:g} s"))
        else:
            promise.set_exception(Refused(Reason.UPSTREAM_UNAVAILABLE, "every connection is at work"))

    def __repr__(self) -> str:
        return (
            f"Endpoint({self.url}, active: {self.active}, idle: {self.idle}, connecting: {len(self._connecting)},"
            f" waiting: {self.waiting})"
        )
