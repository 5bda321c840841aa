"""The lane: the pipeline run straight over a connection, without ASGI and without a task.

Rule: a request is stepped in the callback that brought it, and then in the callback of each future that it waits for.
Invariant: to what it awaits it is a task: `asyncio.current_task()` names it, and `cancel` works as on one. What it has
not is a context of its own: a context variable that it set would be seen by other requests, so none is ever set here.

A task costs its making, a place in asyncio's list of all tasks and one turn of the loop before its first step: measured
in docs/decisions/003.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.kernel.framing import Framing
from gateway.kernel.stepped import stepped
from gateway.model.connection import Connection
from gateway.pipeline import handle
from gateway.server.exchange import HttpExchange, Work
from gateway.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Generator

    from gateway.server.protocol import HttpProtocol

log = logging.getLogger(__name__)


class Lane:
    """Answers with the pipeline."""

    def __init__(self, current: Callable[[], Snapshot], working: set[Work]) -> None:
        """`current` is asked once a request. `working`: the requests of this process that wait for something."""
        self.current = current
        self.working = working

    def exchange(self, protocol: "HttpProtocol", connection: Connection, framing: Framing) -> "LaneExchange":
        """See gateway.server.exchange.Driver."""
        exchange = LaneExchange()
        exchange.take(protocol, connection, framing)
        exchange.lane = self
        return exchange

    def close(self) -> None:
        """See gateway.server.exchange.Driver: all connections share it, and it keeps nothing of any."""


class LaneExchange(HttpExchange):
    """An exchange that carries itself: the least that asyncio wants of a task of a library's own."""

    __slots__ = ("_asked", "_loop", "_steps", "_thrown", "_waits_for", "lane")

    lane: Lane

    def start(self) -> None:
        """Run the pipeline as far as it goes without waiting."""
        lane = self.lane
        self._loop = self.protocol.loop
        # Iterated, a coroutine ends without the StopIteration that `send` raises
        self._steps: Generator[Any, None, None] | None = handle(self, lane.current()).__await__()
        self._waits_for: asyncio.Future[Any] | None = None  # what it waited for last
        self._thrown: BaseException | None = None  # goes in with the next step
        self._asked = 0  # times that it was cancelled
        self._step()
        if self._steps is not None:
            lane.working.add(self)

    # What asyncio asks of a task

    def cancel(self, msg: str | None = None) -> bool:
        """As asyncio.Task.cancel."""
        if self._steps is None:
            return False
        self._asked += 1
        if self._waits_for is None or not self._waits_for.cancel(msg):
            self._thrown = asyncio.CancelledError(*(() if msg is None else (msg,)))
        return True

    def cancelling(self) -> int:
        """As asyncio.Task.cancelling."""
        return self._asked

    def uncancel(self) -> int:
        """As asyncio.Task.uncancel."""
        self._asked = max(0, self._asked - 1)
        return self._asked

    def done(self) -> bool:
        """As asyncio.Task.done."""
        return self._steps is None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """As asyncio.Task.get_loop."""
        return self._loop

    # Stepping

    def _step(self, _done: object = None) -> None:
        """Go on until it waits again or ends. In the way of asyncio.Task, whose C code is the model of each line."""
        loop, steps = self._loop, self._steps
        if steps is None:
            return  # nothing calls back behind the end
        waits_for: Any
        stepped[loop] = self
        try:
            thrown = self._thrown
            if thrown is None:
                for waits_for in steps:  # noqa: B007 - one step, without the call that `next` is
                    break
                else:
                    self._ended()
                    return
            else:
                self._thrown = None
                waits_for = steps.throw(thrown)
            if type(waits_for) is not Future and not getattr(waits_for, "_asyncio_future_blocking", False):
                self._yielded(waits_for)
                return
            waits_for._asyncio_future_blocking = False  # noqa: SLF001 - Future.__await__ asks it of who takes it
            self._waits_for = waits_for
            waits_for.add_done_callback(self._step)
            if self._thrown is not None and waits_for.cancel():
                self._thrown = None  # it was cancelled while it ran
        except (StopIteration, asyncio.CancelledError):
            self._ended()
        except Exception:
            log.exception("the pipeline failed")
            self._ended()
        finally:
            del stepped[loop]

    def _yielded(self, what: object) -> None:
        """A bare yield is one turn of the loop, as asyncio.sleep(0) means it; anything else is a mistake."""
        if what is not None:
            self._thrown = RuntimeError("the pipeline awaits what is no future of asyncio")
        self._loop.call_soon(self._step)

    def _ended(self) -> None:
        self._steps = None
        self.lane.working.discard(self)
        if not self.complete and not self.gone:
            self.abort()
