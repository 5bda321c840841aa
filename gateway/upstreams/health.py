"""Active health checks: one endpoint asked again and again, over the same verified TLS as its requests.

Rule: a check has a connection of its own, so that a full pool is no illness; intervals vary by a tenth, so that the
workers and gateways of a fleet do not ask all at once.
Invariant: the first answer decides; then it takes as many in a row as the file says to change the verdict.
"""

import asyncio
from collections.abc import Callable
from random import uniform

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.connection import Connection
from gateway.upstreams.dialer import Dialer
from gateway.upstreams.identity import UnreadyTls, UpstreamTls
from gateway.upstreams.lost import Lost
from gateway.upstreams.settings import EndpointSettings, HealthSettings

_NEVER = float("inf")
_MAX_BODY = 65536  # bytes of an answer that are read for the sake of its connection


class Verdict:
    """What the checks so far amount to: no I/O, no clock."""

    def __init__(self, healthy: int, unhealthy: int) -> None:
        """How many in a row change it."""
        self.healthy: bool | None = None  # None: not one answer yet
        self._needed = {True: healthy, False: unhealthy}
        self._against = 0  # answers in a row that say something else

    def observe(self, ok: bool) -> bool:
        """One more answer. True when it changes the verdict."""
        if ok is self.healthy:
            self._against = 0
            return False
        self._against += 1
        if self.healthy is not None and self._against < self._needed[ok]:
            return False
        self.healthy, self._against = ok, 0
        return True


class HealthChecker:
    """Checks one endpoint from `start` to `stop`; owner of the connection that it uses."""

    def __init__(
        self,
        endpoint: EndpointSettings,
        settings: HealthSettings,
        dialer: Dialer,
        tls: Callable[[], UpstreamTls | None],
        changed: Callable[[bool], None],
    ) -> None:
        """`tls`: what is in force now; `changed` is told each new verdict."""
        self.verdict = Verdict(settings.healthy, settings.unhealthy)
        self._settings = settings
        self._dialer = dialer
        self._tls = tls
        self._changed = changed
        self._head = _head(endpoint, settings.path)
        self._connection: Connection | None = None
        self._opened_with: UpstreamTls | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with a check at once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """No check any more."""
        if self._task is not None:
            self._task.cancel()
        self._let_go()

    def put_back(self, connection: Connection, now: float) -> None:
        connection.expect(now + 2 * self._settings.interval + self._settings.timeout)

    def dropped(self, connection: Connection) -> None:
        if connection is self._connection:
            self._connection = None

    async def _run(self) -> None:
        while True:
            if not isinstance(self._tls(), UnreadyTls) and self.verdict.observe(await self._check()):
                self._changed(self.verdict.healthy is True)
            await asyncio.sleep(self._settings.interval * uniform(0.9, 1.1))  # noqa: S311 - no secret hangs on it

    async def _check(self) -> bool:
        try:
            async with asyncio.timeout(self._settings.timeout):  # noqa: TID251 - no data path; 3.11's wait_for can lose a cancellation
                return await self._ask()
        except (TimeoutError, Refused):
            self._let_go()
            return False

    async def _ask(self) -> bool:
        tls = self._tls()
        connection = self._connection
        if connection is not None and tls is self._opened_with:
            try:
                return await self._exchange(connection)
            except Lost:
                self._let_go()  # it was kept for too long
        self._let_go()
        self._connection = connection = await self._dialer(self, tls)
        self._opened_with = tls
        return await self._exchange(connection)

    async def _exchange(self, connection: Connection) -> bool:
        timeout = self._settings.timeout
        connection.begin("GET", timeout, timeout, _NEVER)
        connection.write(self._head)
        connection.sent()
        answer = connection.answer
        while not answer.head_done:
            await connection.more()
        read = 0
        while data := await connection.read():
            read += len(data)
            if read > _MAX_BODY:
                raise Refused(Reason.UPSTREAM_PROTOCOL, "the answer to a health check is too large")
        status = answer.status
        connection.finish(whole=True)
        return 200 <= status < 300

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()


def _head(endpoint: EndpointSettings, path: str) -> bytes:
    authority = endpoint.url.partition("://")[2].rstrip("/")
    return f"GET {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: gateway-health-check\r\n\r\n".encode("ascii")
