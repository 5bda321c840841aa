"""The ASGI driver: the requests of one connection, answered one after the other in one task.

Rule: a connection's first request makes the task, the others wake it: a task for each costs 3 us more, most of it for
asyncio's list of all tasks. Invariant: `working` holds the task exactly while it has a request to answer.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from starlette.types import Receive, Scope, Send

from gateway.kernel.framing import Framing
from gateway.model.connection import Connection
from gateway.server.cycle import Cycle
from gateway.server.exchange import Work

if TYPE_CHECKING:
    from gateway.server.protocol import HttpProtocol

_ASGI = {"version": "3.0", "spec_version": "2.4"}

log = logging.getLogger(__name__)


class App(Protocol):
    """An ASGI application."""

    def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> Awaitable[None]: ...


class Turns:
    """What a connection has to answer: one request at a time, and at most one that waits for its turn."""

    __slots__ = ("_app", "_closed", "_due", "_idle", "_loop", "_scope", "_task", "_working")

    def __init__(self, app: App, working: set[Work]) -> None:
        """On the running loop. `working`: the tasks of this process that answer a request now."""
        self._app = app.__call__  # calling the object goes through C: see gateway.pipeline
        self._loop = asyncio.get_running_loop()
        self._scope: dict[str, object] | None = None
        self._working = working
        self._task: asyncio.Task[None] | None = None
        self._due: Cycle | None = None
        self._idle: asyncio.Future[None] | None = None  # the task waits here for a request
        self._closed = False

    def exchange(self, protocol: "HttpProtocol", connection: Connection, framing: Framing) -> Cycle:
        """See gateway.server.exchange.Driver."""
        cycle = Cycle()
        cycle.take(protocol, connection, framing)
        cycle.turns = self
        return cycle

    def scope_of(self, protocol: "HttpProtocol") -> dict[str, object]:
        """What the connection's scopes have in common; the same object each time, and nobody's to change."""
        if self._scope is None:
            self._scope = {
                "type": "http",
                "asgi": _ASGI,
                "scheme": "http" if protocol.transport.get_extra_info("ssl_object") is None else "https",
                "root_path": "",
                "client": protocol.client,
                "server": protocol.server,
            }
        return self._scope

    def begin(self, cycle: Cycle) -> None:
        """Have a request answered; the answer of the one before is whole."""
        self._due = cycle
        if self._task is None:
            self._task = self._loop.create_task(self._run())
        self._working.add(self._task)
        self._wake()

    def close(self) -> None:
        """There will be no more requests; one that is at work goes on to its end."""
        self._closed = True
        self._wake()

    def _release(self) -> None:
        """The answer is out; a request that was pipelined may be due already."""
        if self._due is None and self._task is not None:
            self._working.discard(self._task)

    def _wake(self) -> None:
        idle = self._idle
        if idle is not None:
            self._idle = None
            if not idle.done():  # cancelled, as the loop's end cancels every task
                idle.set_result(None)

    async def _run(self) -> None:
        while True:
            cycle, self._due = self._due, None
            if cycle is None:
                if self._closed:
                    return
                self._idle = self._loop.create_future()
                await self._idle
                continue
            try:
                await self._app(cycle.scope(), cycle.receive, cycle.send_message)
            except Exception:
                log.exception("the application failed")
            finally:
                cycle.finish()
                self._release()
