"""A bounded queue with a thread behind it: what must leave the process without ever holding it up.

Rule: `offer` never waits; what finds no room is counted as dropped. One warning when deliveries begin to fail, one line
when they hold again. Invariant: what was taken is delivered in order, tried again while the other side is down.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between two tries


class Rejected(Exception):  # noqa: N818 - a verdict of the other side
    """The other side will never take this batch; another try would not help."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told of the fate of items. `dropped` is called by who offers and who closes, the others by the thread."""

    up: Callable[[float], None]  # 1 while deliveries hold, 0 while they fail
    delivered: Callable[[float], None]
    dropped: Callable[[float], None]
    rejected: Callable[[float], None]


class Outbox(Generic[_Item]):
    """Made at any time, started once, closed once. `offer` is for one thread."""

    def __init__(
        self,
        name: str,
        deliver: Callable[[list[_Item]], None],
        told: Told,
        *,
        capacity: int,
        batch: int,
        gather: float = 0.0,
    ) -> None:
        """`deliver` runs in the thread; it raises OSError to be tried again, Rejected to give a batch up.

        What it takes out of its list counts as delivered. `name` begins its warnings; `batch`: the most items of one
        delivery; `gather`: seconds in which one may grow.
        """
        self._name = name
        self._deliver = deliver
        self._told = told
        self._capacity = capacity
        self._batch = batch
        self._gather = gather
        self._queue: deque[_Item] = deque()
        self._idle = False
        self._full = False  # and said so
        self._failing = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._until = 0.0  # monotonic: when a closing outbox gives up
        self._thread: threading.Thread | None = None
        told.up(1)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread = threading.Thread(target=self._run, name=f"outbox {self._name}", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> bool:
        """True while deliveries fail."""
        return self._failing

    @property
    def room(self) -> int:
        """How many items would be taken now."""
        return self._capacity - len(self._queue)

    def offer(self, items: Sequence[_Item]) -> bool:
        """Take the items to be delivered; what finds no room is counted as dropped. True when all were taken."""
        queue = self._queue
        over = len(queue) + len(items) - self._capacity
        if over > 0:
            self._told.dropped(min(over, len(items)))
            if not self._full:
                self._full = True
                log.warning("%s: %d wait to be sent: what comes now is dropped and counted", self._name, len(queue))
            items = items[: max(0, len(items) - over)]
        else:
            self._full = False
        queue.extend(items)
        if self._idle:
            self._wake.set()
        return over <= 0

    def close(self, patience: float = 1.0) -> None:
        """Deliver what waits, for `patience` seconds at most. Blocks: call it in a thread."""
        self._until = time.monotonic() + patience
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(patience + 0.2)  # a delivery that hangs is left to its end: the thread is a daemon
        self._told.dropped(len(self._queue))
        self._queue.clear()

    def _run(self) -> None:
        while True:
            self._idle = True
            if not self._queue and not self._closing.is_set():
                self._wake.wait()
            self._idle = False
            self._wake.clear()
            if len(self._queue) < self._batch and self._gather and not self._closing.is_set():
                self._closing.wait(self._gather)
            batch: list[_Item] = []
            while self._queue and len(batch) < self._batch:
                batch.append(self._queue.popleft())
            if batch and not self._delivered(batch):
                self._queue.extendleft(reversed(batch))  # the closing time is over: counted as dropped
                return
            if not self._queue and self._closing.is_set():
                return

    def _delivered(self, batch: list[_Item]) -> bool:
        """Try until it is taken or given up; False when closing leaves no time for it."""
        pause, count = _FIRST_PAUSE, len(batch)
        while True:
            try:
                self._deliver(batch)
            except Rejected as error:
                self._told.rejected(len(batch))
                log.warning("%s: %d were rejected: %s", self._name, len(batch), error)
                self._held(count - len(batch))
                return True
            except OSError as error:
                self._failed(error)
                if self._closing.is_set() and time.monotonic() + pause > self._until:
                    self._told.delivered(count - len(batch))
                    return False
                self._closing.wait(pause) if not self._closing.is_set() else time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._held(count)
                return True

    def _failed(self, error: OSError) -> None:
        self._told.up(0)
        if not self._failing:
            self._failing = True
            log.warning("%s: cannot send: %s; tried again until it can", self._name, error.strerror or error)

    def _held(self, count: int) -> None:
        self._told.delivered(count)
        if self._failing:
            self._failing = False
            self._told.up(1)
            log.warning("%s: sends again", self._name)
