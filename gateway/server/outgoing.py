"""The way out of one client connection: no faster than the client reads.

Rule: who writes waits while too much waits for the client.
Invariant: a client that reads nothing for the listener's `idle_timeout` is cut off; one that is slow is not.
"""

import asyncio

from gateway.server.listener import Listener


class Outgoing(asyncio.Protocol):
    """The part of a protocol that its transport tells about writing."""

    __slots__ = ("_drain", "listener", "loop", "transport", "write_paused")

    def __init__(self, listener: Listener) -> None:
        """On the running loop."""
        self.listener = listener
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.write_paused = False
        self._drain: asyncio.Future[None] | None = None

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    async def drained(self) -> None:
        """Wait until the client has read enough of the answer; one that reads nothing for too long is cut off."""
        while self.write_paused:
            waiter = self._drain = self.loop.create_future()
            size = self.transport.get_write_buffer_size()
            timer = self.loop.call_later(self.listener.limits.idle_timeout, self._stalled, size)
            try:
                await waiter
            finally:
                timer.cancel()

    def _stalled(self, size: int) -> None:
        if self.transport.get_write_buffer_size() >= size:
            self.transport.abort()
        elif self._drain is not None and not self._drain.done():
            self._drain.set_result(None)  # slow, not stalled: `drained` looks again
