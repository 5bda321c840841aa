"""The way out of one client connection: no faster than the client reads.

Rule: who writes waits while too much waits for the client; a connection is closed when the client has what it is owed.
Invariant: a client that reads nothing for the listener's `idle_timeout`, or less than its least data rate, is cut off;
time in which nothing is owed to it never counts.
"""

import asyncio
import socket

from gateway.server.listener import Listener
from gateway.server.pace import Pace, taken

_LOOK = 1.0  # seconds between two looks at a client that is owed something, at most
_CLOSING_LOOK = 0.1


class _Watch:
    """A client that is owed something."""

    __slots__ = ("acked", "held", "looked", "moved", "pace", "timer")

    def __init__(self, pace: Pace, now: float, held: int, acked: int) -> None:
        self.pace = pace
        self.held = held  # bytes of our own buffer
        self.acked = acked
        self.looked = self.moved = now
        self.timer: asyncio.TimerHandle | None = None

    def look(self, now: float, held: int, acked: int | None) -> None:
        """What of it was taken since the last look."""
        if acked is None:
            advanced = held < self.held  # how much it was is not known: idleness is all that can be judged
        else:
            self.pace.moved(now - self.looked, acked - self.acked)
            advanced = acked > self.acked
            self.acked = acked
        if advanced:
            self.moved = now
        self.held, self.looked = held, now


class Outgoing(asyncio.Protocol):
    """The part of a protocol that its transport tells about writing."""

    __slots__ = ("_closing", "_drain", "_watch", "listener", "loop", "socket", "transport", "write_paused")

    def __init__(self, listener: Listener) -> None:
        """On the running loop."""
        self.listener = listener
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.socket: socket.socket | None = None  # of the transport, which keeps it and makes another one for who asks
        self.write_paused = False
        self._closing = False
        self._drain: asyncio.Future[None] | None = None
        self._watch: _Watch | None = None

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    async def drained(self) -> None:
        """Wait until the client has read enough of the answer; one that reads too little of it is cut off."""
        while self.write_paused:
            waiter = self._drain = self.loop.create_future()
            self._begin_watch()
            await waiter

    def close_when_taken(self) -> None:
        """Close once the client has what was written; what closes TLS would not wait for one that is slow."""
        if not self._closing:
            self._closing = True
            held, unsent, _ = self._owed()
            if not held and not unsent:
                self.transport.close()  # it bounds itself what is left: a close_notify and the answer to it
            else:
                self._begin_watch()

    def stop_watch(self) -> None:
        """The connection is lost."""
        if self._watch is not None and self._watch.timer is not None:
            self._watch.timer.cancel()
        self._watch = None

    def _owed(self) -> tuple[int, int, int | None]:
        """Bytes in our buffer and in the kernel's that were not sent, and those that the client acknowledged."""
        known = taken(self.socket)
        held = self.transport.get_write_buffer_size()
        return (held, 0, None) if known is None else (held, known[1], known[0])

    def _begin_watch(self) -> None:
        if self._watch is None:
            held, _, acked = self._owed()
            self._watch = _Watch(Pace(self.listener.limits), self.loop.time(), held, acked or 0)
            self._look_again(self._watch)

    def _look_again(self, watch: _Watch) -> None:
        limits = self.listener.limits
        seconds = min(_CLOSING_LOOK if self._closing else _LOOK, limits.idle_timeout / 4, limits.data_rate_window / 4)
        watch.timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        watch, now = self._watch, self.loop.time()
        if watch is None:
            return
        held, unsent, acked = self._owed()
        watch.look(now, held, acked)
        if watch.pace.left <= 0 or now - watch.moved >= self.listener.limits.idle_timeout:
            self.stop_watch()
            self.transport.abort()
            return
        if self._closing:
            if not held and not unsent:
                self.transport.close()  # again is nothing; a watch stays for what a transport of TLS still holds
        elif not held and not self.write_paused:
            self._watch = None
            return
        self._look_again(watch)
