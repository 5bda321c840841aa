"""What a request waits for on a connection to a backend: its answer.

Rule: one for all requests of a connection, which come one after the other. To `asyncio` it is a future, as far as tasks
and the lane ask that of what they wait for.
Invariant: who waits goes on in the callback that brought the answer, and never within another task's step.

A future for each request, and a handle of the loop for each of these, cost a fiftieth of what a request does.
"""

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import TypeAlias

from gateway.kernel.stepped import stepped
from gateway.upstreams.usual import Usual

Step: TypeAlias = "Callable[[Reply], object]"


class Reply:
    """Await it: a usual answer, None for another one. Raises what ended the connection.

    It has no `get_loop`: without it asyncio looks for `_loop`, which is there without a call.
    """

    __slots__ = ("_asyncio_future_blocking", "_context", "_failure", "_loop", "_step", "_usual", "pending")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pending = False
        self._loop = loop
        self._context: Context | None = None
        self._usual: Usual | None = None
        self._failure: BaseException | None = None  # the last: behind it nothing is asked
        self._step: Step | None = None  # of the one who waits
        self._asyncio_future_blocking = False

    def begin(self) -> None:
        """Something was asked."""
        self.pending = True
        self._asyncio_future_blocking = True  # a task looks for this mark in what it is given, and takes it off

    def came(self, usual: Usual) -> None:
        """The answer is whole. Nothing may be left to do for who calls this: the request goes on in it."""
        if self.pending:  # else who asked has left
            self.pending = False
            self._usual = usual
            step = self._step
            if step is None:
                return
            if self._loop in stepped:
                self._loop.call_soon(self._go_on)
                return
            self._step = None
            if self._context is None:
                step(self)
            else:
                self._context.run(step, self)

    def settle(self, failure: BaseException | None) -> None:
        """It is no usual answer, or there will be none: who waits goes on with the next turn of the loop."""
        if self.pending:
            self.pending = False
            self._failure = failure
            if self._step is not None:
                self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            if self._context is None:
                step(self)
            else:
                self._context.run(step, self)

    def take(self) -> Usual | None:
        """What came; it is not kept. Raises what ended the connection, and CancelledError."""
        if self._failure is not None:
            raise self._failure
        usual, self._usual = self._usual, None
        return usual

    def __await__(self) -> Generator["Reply", None, Usual | None]:
        if self.pending:
            yield self
        return self.take()

    # What asyncio asks of a future

    def add_done_callback(self, step: Step, *, context: Context | None = None) -> None:
        """As asyncio.Future.add_done_callback, of one who waits; in no context of its own where none is given."""
        self._step = step
        self._context = context
        if not self.pending:
            self._loop.call_soon(self._go_on)

    def done(self) -> bool:
        """As asyncio.Future.done."""
        return not self.pending

    def result(self) -> None:
        """As asyncio.Future.result, for a task that goes on: nothing but what it is to raise. See `take`."""
        if self._failure is not None:
            raise self._failure

    def cancel(self, msg: object = None) -> bool:
        """As asyncio.Future.cancel: who waits goes on with CancelledError."""
        if not self.pending:
            return False
        self.settle(asyncio.CancelledError(*(() if msg is None else (msg,))))
        return True
