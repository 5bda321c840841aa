"""Which proofs were used (RFC 9449 section 11.1): in this process, or in the store that all replicas share.

Rule: what was used is remembered for as long as its proof could pass again, and nothing is forgotten earlier.
Invariant: where it cannot be known whether a proof was used, it is not taken (503).
"""

from typing import Protocol

from gateway.kernel.store import Call, RedisStore, Script, StoreUnavailable
from gateway.model.reason import Reason
from gateway.model.refused import Refused

CAPACITY = 262_144  # proofs in one process: 3,500 a second for as long as each is good
_NAMED = b"dpop:"
_NAME_LENGTH = len(_NAMED) + 32
_RETRY_AFTER = 1  # seconds
_SCRIPT = Script("return redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) and 1 or 0")


class Replays(Protocol):
    """What was used."""

    async def first(self, name: bytes, life: float, now: float) -> bool:
        """Use `name` (32 hex digits), to be remembered for `life` seconds; False when it was used before.

        Raises Refused(STORE_UNAVAILABLE).
        """
        ...


class MemoryReplays:
    """Of one process, kept over reloads. Only a holder of a key and of a token bound to it can take a place."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._until: dict[bytes, float] = {}  # in the order of use

    def __len__(self) -> int:
        return len(self._until)

    async def first(self, name: bytes, life: float, now: float) -> bool:
        """Never waits; refuses while every place is taken by what may not be forgotten yet."""
        used = self._until
        known = used.get(name)
        if known is not None:
            if known > now:
                return False
            del used[name]
        for _ in range(2):  # two go for one that comes: the table shrinks as it is used
            oldest = next(iter(used), None)
            if oldest is None or used[oldest] > now:
                break
            del used[oldest]
        if len(used) >= self._capacity:
            raise _unavailable("too many proofs are remembered")
        used[name] = now + life
        return True


class SharedReplays:
    """In Redis: over all workers and replicas, by Redis' own clock."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._calls: dict[float, Call] = {}  # by life: one for each `dpop_age` of the file

    async def first(self, name: bytes, life: float, now: float) -> bool:
        """Waits for Redis, for as long as the store's timeout at most."""
        call = self._calls.get(life)
        if call is None:
            arguments = [b"%d" % (life * 1000)]
            call = Call(_SCRIPT, prefix=self._store.prefix, keys=1, length=_NAME_LENGTH, arguments=arguments)
            self._calls[life] = call
        try:
            return await self._store.run(call, (_NAMED + name,)) == 1
        except StoreUnavailable as error:
            raise _unavailable(str(error)) from None


def _unavailable(why: str) -> Refused:
    return Refused(Reason.STORE_UNAVAILABLE, f"used proofs cannot be looked up: {why}", retry_after=_RETRY_AFTER)
