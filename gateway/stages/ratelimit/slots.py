"""The places that this process holds under limits of concurrency, and their leases in the store.

Rule: what was taken is given back exactly once, whatever became of the request; the store forgets a place whose process
renews it no more. Invariant: a place that was taken while the store was away is told to it when it is back.
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from gateway.kernel.store import CallWithMore, RedisStore, Reply, Script, StoreUnavailable
from gateway.model.trace import Release
from gateway.stages.ratelimit.algorithm import State
from gateway.stages.ratelimit.algorithms.concurrency import LEASE

ID_LENGTH = 16
RENEWAL = LEASE / 3  # seconds
_AT_ONCE = 64  # renewals in one write
_GIVE_BACK = Script("for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end return 1")
_RENEW = Script(f"""
local t = redis.call('TIME')
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, t[1] + {LEASE}, ARGV[1])
  redis.call('EXPIRE', key, {LEASE})
end
return 1
""")


class Slots:
    """Of one process; made once for a store, `start`ed in a running loop and `close`d at the end."""

    def __init__(self, store: RedisStore | None = None, *, renewal_every: float = RENEWAL) -> None:
        """`store`: None where places are counted in this process alone. `renewal_every`: seconds."""
        self._store = store
        self._renewal_every = renewal_every
        self._held: dict[bytes, int] = {}
        self._leases: dict[bytes, tuple[bytes, ...]] = {}  # by id, in the order in which they were taken
        self._process = secrets.token_hex(4).encode()
        self._count = 0
        self._calls: dict[tuple[Script, int, int], CallWithMore] = {}
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Renew leases from now on."""
        if self._store is not None:
            self._keeper = asyncio.create_task(self._keep(), name="concurrency-slots")

    async def close(self) -> None:
        """Renew no more."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def held(self, name: bytes) -> int:
        """How many requests of this process are in."""
        return self._held.get(name, 0)

    def identity(self) -> bytes:
        """A new id, of ID_LENGTH bytes: no two places in the store have the same."""
        self._count += 1
        return b"%b%08x" % (self._process, self._count & 0xFFFFFFFF)

    def take(self, names: Sequence[bytes], identity: bytes) -> Release:
        """One place under each name, until what this returns is called."""
        taken = tuple(names)
        for name in taken:
            self._held[name] = self._held.get(name, 0) + 1
        if self._store is not None:
            self._leases[identity] = taken
        return partial(self._release, taken, identity)

    def forget(self, names: Sequence[bytes], identity: bytes) -> None:
        """Take back in the store what a call may have taken there, and of which nothing came."""
        store = self._store
        if store is not None and store.up:
            with suppress(StoreUnavailable):  # the lease ends by itself too
                store.run(self._call(_GIVE_BACK, names), (*names, identity)).add_done_callback(ended)

    def _release(self, names: tuple[bytes, ...], identity: bytes) -> None:
        for name in names:
            left = self._held[name] - 1
            if left:
                self._held[name] = left
            else:
                del self._held[name]
        if self._leases.pop(identity, None) is not None:
            self.forget(names, identity)

    async def _keep(self) -> None:
        while True:
            before = list(self._leases.items())
            await asyncio.sleep(self._renewal_every)
            for at in range(0, len(before), _AT_ONCE):
                await self._renew([each for each in before[at : at + _AT_ONCE] if each[0] in self._leases])

    async def _renew(self, leases: Sequence[tuple[bytes, tuple[bytes, ...]]]) -> None:
        store = self._store
        if store is None or not store.up:
            return
        with suppress(StoreUnavailable):
            calls = [store.run(self._call(_RENEW, names), (*names, identity)) for identity, names in leases]
            await asyncio.gather(*calls, return_exceptions=True)
        for identity, names in leases:
            if identity not in self._leases:  # given back while its renewal was under way: last word is the release's
                self.forget(names, identity)

    def _call(self, script: Script, names: Sequence[bytes]) -> CallWithMore:
        assert self._store is not None  # noqa: S101 - asked only where there is one
        which = script, len(names), len(names[0])
        call = self._calls.get(which)
        if call is None:
            call = self._calls[which] = CallWithMore(
                script, prefix=self._store.prefix, keys=len(names), length=len(names[0]), arguments=()
            )
        return call


class HeldBuckets:
    """The places of this process, read as a table of buckets."""

    __slots__ = ("_slots",)

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def get(self, name: bytes, now: float) -> State | None:
        """How many are in."""
        return 0.0, float(self._slots.held(name)), 0.0

    def put(self, name: bytes, state: State, now: float) -> None:
        """Nothing: the gate takes the place."""

    def drop(self, name: bytes) -> None:
        """Nothing: what is held is told to the store by its lease."""


def ended(future: "asyncio.Future[Reply]") -> None:
    """Nobody waits for what came of it."""
    if not future.cancelled():
        future.exception()  # looked at, so that no log complains
