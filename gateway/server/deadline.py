"""One timer that many deadlines share.

Rule: moving a deadline to a later time costs an assignment; the timer finds out when it fires.
Invariant: what was armed last is what is called, once, and never after `disarm` or `close`.
"""

import asyncio
from collections.abc import Callable

_EARLY = 0.001  # seconds: timers of the loop count whole milliseconds


class Deadline:
    """The deadline of one connection."""

    __slots__ = ("_act", "_at", "_fires", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._act: Callable[[], None] | None = None
        self._at = 0.0
        self._fires = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def arm(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` in so many seconds, in place of what was armed before."""
        self._act = act
        self._at = at = self._loop.time() + seconds
        if self._timer is None:
            self._schedule(at)
        elif self._fires > at:
            self._timer.cancel()
            self._schedule(at)

    def disarm(self) -> None:
        """Call nothing. The timer is left to find out."""
        self._act = None

    def close(self) -> None:
        """Call nothing any more, and let go of the timer."""
        self._act = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, at: float) -> None:
        self._fires = at
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        act = self._act
        if act is None:
            return
        if self._loop.time() < self._at - _EARLY:
            self._schedule(self._at)
            return
        self._act = None
        act()
