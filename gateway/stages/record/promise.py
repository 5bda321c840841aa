"""What the requests of one tick wait for: that their records are written, or the news that they could not be.

Rule: one for all of them. To `asyncio` it is a future, as far as tasks and the lane ask that of what they wait for.
Invariant: who waits goes on in the order of coming, in the callback that knows; nobody's cancelling ends it for others:
a task that is cancelled meanwhile hears of it when it goes on, as it does wherever a future cannot be cancelled.

A future for each record, and a handle of the loop for each of these, cost a sixth of what a record does.
"""

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import TypeAlias

Step: TypeAlias = "Callable[[Promise], object]"


class Promise:
    """Await it; the answer is whether the records are as durable as the settings ask."""

    __slots__ = ("_asyncio_future_blocking", "_loop", "_waiting", "kept")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, written: bool | None = None) -> None:
        """`written`: where that is known already, which `kept` says: None while nobody knows."""
        self._asyncio_future_blocking = False
        self._loop = loop
        self._waiting: list[tuple[Step, Context | None]] = []
        self.kept = written

    def keep(self, *, written: bool = True) -> None:
        """Let those who wait go on: now, or at the next turn of the loop where this is called from within a task."""
        self.kept = written
        if asyncio.current_task(self._loop) is None:
            self._go_on()
        else:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for step, context in waiting:
            try:
                if context is None:
                    step(self)
                else:
                    context.run(step, self)
            except Exception as error:  # noqa: BLE001 - as the loop does it: the others go on
                self._loop.call_exception_handler({"message": "a waiting request failed", "exception": error})

    def __await__(self) -> Generator["Promise", None, bool]:
        if self.kept is None:
            yield self.asked()
        return self.result()

    def asked(self) -> "Promise":
        """Itself, for who yields it: a task looks for this mark in what it is given, and takes it off."""
        self._asyncio_future_blocking = True
        return self

    # What asyncio asks of a future

    def add_done_callback(self, step: Step, *, context: Context | None = None) -> None:
        """As asyncio.Future.add_done_callback; in no context of its own where none is given."""
        self._waiting.append((step, context))
        if self.kept is not None:
            self._loop.call_soon(self._go_on)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """As asyncio.Future.get_loop."""
        return self._loop

    def done(self) -> bool:
        """As asyncio.Future.done."""
        return self.kept is not None

    def result(self) -> bool:
        """As asyncio.Future.result: raises InvalidStateError where it is too early."""
        if self.kept is None:
            raise asyncio.InvalidStateError("the records are not written yet")
        return self.kept

    def exception(self) -> None:
        """As asyncio.Future.exception: failing is an answer here."""

    def cancelled(self) -> bool:
        """As asyncio.Future.cancelled."""
        return False

    def cancel(self, msg: object = None) -> bool:
        """As asyncio.Future.cancel of one that cannot be: it is not the caller's alone."""
        return False
