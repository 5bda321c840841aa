"""The pool of one endpoint.

Rule: the connection used last is used next, so that surplus ones grow old and end; nothing here costs more with a
larger pool. Invariant: `open` connections (being opened, at work, idle) are never more than `connections.max`.
"""

import asyncio
from collections.abc import Mapping

from gateway.kernel.cells import Counter
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.connection import Connection
from gateway.upstreams.dialer import Dialer
from gateway.upstreams.identity import UpstreamTls
from gateway.upstreams.settings import ConnectionSettings, EndpointSettings, TimeoutSettings

OK = "ok"
CLIENT = "client_error"  # the client's fault: it sent too much, or not what it announced
_BACKENDS = (
    Reason.UPSTREAM_CONNECT,
    Reason.UPSTREAM_IDENTITY,
    Reason.UPSTREAM_PROTOCOL,
    Reason.UPSTREAM_UNAVAILABLE,
    Reason.CIRCUIT_OPEN,
    Reason.UPSTREAM_TIMEOUT,
    Reason.UPSTREAM_RESET,
    Reason.IDENTITY_UNAVAILABLE,
    Reason.KEYS_UNAVAILABLE,
    Reason.CLIENT_GONE,
    Reason.AUTHORITY_ENDED,
    Reason.DRAINING,
)
OVERTAKEN = "overtaken"  # another try of the same request answered first
RESULTS = (OK, CLIENT, OVERTAKEN, *(reason.code for reason in _BACKENDS))


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
        self.settings = settings
        self.url = settings.url
        self.name = settings.url if settings.address is None else f"{settings.url} at {settings.address}"
        self.weight = settings.weight
        self.mark = object()  # stands for it where something is remembered of it that may outlive it
        self._settings = connections
        self._rest = connections.idle
        self._connect_timeout = timeouts.connect
        self._dialer = dialer
        self._tls = tls
        self._results = results
        self.ok = results[OK]  # counted by who has an answer
        self._idle: dict[Connection, None] = {}  # in the order in which they came back
        self._connections: set[Connection] = set()  # idle ones and those at work
        self._waiting: dict[asyncio.Future[Connection], bool] = {}  # in order; True: only a fresh one will do
        self._connecting: set[asyncio.Task[None]] = set()
        self._keeps = connections.reuse  # what comes back
        self._generation = 0  # of certificates

    @property
    def open(self) -> int:
        """Connections that count against `connections.max`."""
        return len(self._connections) + len(self._connecting)

    @property
    def load(self) -> int:
        """Requests at work and waiting."""
        return len(self._connections) - len(self._idle) + len(self._waiting)

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def active(self) -> int:
        """Connections that carry a request."""
        return len(self._connections) - len(self._idle)

    @property
    def connecting(self) -> int:
        """Connections that are being opened."""
        return len(self._connecting)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiting)

    def count(self, reason: Reason | None) -> None:
        """A request to this endpoint ended, None: well."""
        if reason is None:
            self.ok.inc()
        else:
            self._results.get(reason.code, self._results[CLIENT]).inc()

    def overtaken(self) -> None:
        """A request to this endpoint was not waited for: another try had answered."""
        self._results[OVERTAKEN].inc()

    def checkout(self) -> Connection | None:
        """An idle connection, the one used last; None when there is none."""
        return self._idle.popitem()[0] if self._idle else None

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
            self._waiting[promise] = fresh
            timer = loop.call_later(self._connect_timeout, self._expire, promise)
            promise.add_done_callback(lambda _: self._settled(promise, timer))
            if fresh and self._idle and self.open >= self._settings.max:
                next(iter(self._idle)).close()  # room for the fresh one
            self._open_more()
        return promise

    def admit(self, connection: Connection, *, fit: bool = True) -> None:
        """A connection is open; unless it is `fit`, for one request."""
        self._connections.add(connection)
        if fit and self._keeps:
            connection.kept_until = connection.born + self._settings.max_age
        if not self._give(connection):
            self.put_back(connection, connection.born)

    def put_back(self, connection: Connection, now: float) -> None:
        ends = connection.kept_until
        if now >= ends:
            connection.close()
            return
        if self._waiting and self._give(connection):
            return
        self._idle[connection] = None
        due = now + self._rest
        connection.expect(due if due < ends else ends)  # noqa: FURB136 - min() would be a call a request

    def dropped(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        self._open_more()

    def rotate(self, tls: UpstreamTls | None) -> None:
        """New certificates: new connections use them, idle ones end now, those at work when their answer is whole."""
        self._tls = tls
        self._generation += 1
        self._part()

    def retire(self) -> None:
        """Gone from the config: keep nothing; requests that still hold a permit for it get a connection each."""
        self._keeps = False
        self._part()

    def abort(self) -> None:
        """Break off everything: the process ends."""
        self._keeps = False
        for task in list(self._connecting):
            task.cancel()
        for connection in list(self._connections):
            connection.abort()

    def _part(self) -> None:
        """With every connection: now where it is idle, else with its request."""
        for connection in self._connections:
            connection.kept_until = float("-inf")
        for connection in list(self._idle):
            connection.close()

    def _open_more(self) -> None:
        """As many as requests wait for, as far as `max` goes."""
        while len(self._connecting) < len(self._waiting) and self.open < self._settings.max:
            task = asyncio.get_running_loop().create_task(self._open())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _open(self) -> None:
        generation = self._generation
        try:
            connection = await self._dialer(self, self._tls)
        except Refused as refused:
            self._opened()
            self._refuse(refused)
            self._open_more()
        else:
            self._opened()
            self.admit(connection, fit=generation == self._generation)

    def _opened(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connecting.discard(task)

    def _give(self, connection: Connection) -> bool:
        """To who has waited longest; False when nobody waits for such a one."""
        for promise, fresh in self._waiting.items():
            if not promise.done() and not (fresh and connection.served):
                promise.set_result(connection)
                del self._waiting[promise]
                return True
        return False

    def _refuse(self, refused: Refused) -> None:
        for promise in self._waiting:
            if not promise.done():
                promise.set_exception(refused)
                del self._waiting[promise]
                return

    def _settled(self, promise: "asyncio.Future[Connection]", timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self._waiting.pop(promise, None)

    def _expire(self, promise: "asyncio.Future[Connection]") -> None:
        if promise.done():
            return
        if self._connecting:
            promise.set_exception(Refused(Reason.UPSTREAM_TIMEOUT, f"no connection in {self._connect_timeout:g} s"))
        else:
            promise.set_exception(Refused(Reason.UPSTREAM_UNAVAILABLE, "every connection is at work"))

    def __repr__(self) -> str:
        return (
            f"Endpoint({self.name}, active: {self.active}, idle: {self.idle}, connecting: {self.connecting},"
            f" waiting: {self.waiting})"
        )
