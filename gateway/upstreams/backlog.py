"""What was written to a backend that does not take it.

Rule: one writer at a time waits for it.
"""

import asyncio


class Backlog:
    """Of one connection."""

    __slots__ = ("_waiter", "full")

    def __init__(self) -> None:
        self.full = False
        self._waiter: asyncio.Future[None] | None = None

    def taken(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """Done with the next `wake`."""
        self._waiter = loop.create_future()
        return self._waiter

    def wake(self) -> None:
        """It is taken, or never will be."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
