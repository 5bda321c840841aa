"""Slices of large limits that this process took from the store, to spend without asking.

Rule: what a slice holds was charged when it was taken, so whatever becomes of it, all processes together never admit
more than the limit and one slice each. Invariant: a process holds one slice of a bucket at most; what is left of it
goes back when it is a second old, or the process ends, and is lost (never spent twice) when it dies.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.kernel.store import CallWithMore, RedisStore, Reply, StoreUnavailable
from gateway.stages.ratelimit.slots import ended

HOLD = 1.0  # seconds after which what is left of a slice goes back, at the next look: two at most
MOST = 4096  # slices that a process holds; beyond them each request asks


@dataclass(slots=True)
class Slice:
    """What is left of one, and what of it is told."""

    left: int
    beyond: int  # what the bucket had besides, when it was taken
    whole: float  # when the bucket is whole again, as of then: seconds since the epoch
    since: float  # the bucket's window of which it was taken
    back: CallWithMore  # that gives it back
    old: bool = False


class Leases:
    """Of one process; made once for a store, and `close`d before it."""

    def __init__(self, store: RedisStore, *, hold: float = HOLD) -> None:
        """`hold`: seconds."""
        self.slices: dict[bytes, Slice] = {}
        self._store = store
        self._hold = hold
        self._taking: set[bytes] = set()
        self._timer: asyncio.TimerHandle | None = None

    def ask_for(self, name: bytes, size: int) -> int:
        """How much to take of a bucket with a request that has to ask: nothing while another one takes of it.

        What is left of a slice that was not enough goes back first, so that there is never a second.
        """
        held = self.slices.pop(name, None)
        if held is not None and held.left:
            self._give_back([(name, held)])
        if name in self._taking or len(self.slices) + len(self._taking) >= MOST:
            return 0
        self._taking.add(name)
        return size

    def taken(self, name: bytes, slice_: Slice | None) -> None:
        """What came of asking; None: nothing."""
        self._taking.discard(name)
        if slice_ is None:
            return
        self.slices[name] = slice_
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._hold, self._look)

    async def close(self) -> None:
        """Give everything back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        slices, self.slices = self.slices, {}
        await asyncio.gather(*self._give_back(list(slices.items())), return_exceptions=True)

    def _look(self) -> None:
        old = [(name, held) for name, held in self.slices.items() if held.old or not held.left]
        for name, _ in old:
            del self.slices[name]
        for held in self.slices.values():
            held.old = True
        self._give_back(old)
        self._timer = asyncio.get_running_loop().call_later(self._hold, self._look) if self.slices else None

    def _give_back(self, slices: Sequence[tuple[bytes, Slice]]) -> "list[asyncio.Future[Reply]]":
        calls: list[asyncio.Future[Reply]] = []
        with suppress(StoreUnavailable):  # a store that is away gets nothing back: that much less is admitted
            for name, held in slices:
                if held.left:
                    call = self._store.run(held.back, (name, b"%.17g" % held.since, b"%d" % held.left))
                    call.add_done_callback(ended)
                    calls.append(call)
        return calls
