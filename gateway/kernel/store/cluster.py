"""The store in a Redis cluster: one pipelined connection to each master, kept by one task.

A call goes to the node that holds the slot of its first key; all its keys have one hash tag (Redis cluster
specification). MOVED and ASK are followed, and MOVED has the map of slots read anew. While a node is down, calls of its
slots fail at once and the others go on.
"""

import asyncio
import logging
import random
from binascii import crc_hqx
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.kernel.store.address import Node, RedisAddress, written
from gateway.kernel.store.connection import RedisConnection, Reply, fail
from gateway.kernel.store.failure import StoreUnavailable
from gateway.kernel.store.lease import NAME, RENEWAL, renewal
from gateway.kernel.store.link import link
from gateway.kernel.store.redis import FIRST_PAUSE, LONGEST_PAUSE, STEADY, TIMEOUT, RedisStore, trouble_of
from gateway.kernel.store.script import Call

log = logging.getLogger(__name__)

SLOTS = 16384


def slot_of(name: bytes) -> int:
    """The slot of the key `prefix{name}`: a name that holds a brace has its own tag before it."""
    return crc_hqx(name.partition(b"}")[0], 0) % SLOTS


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots from the first to the last, and the master that holds them."""

    first: int
    last: int
    master: Node


class RedisCluster(RedisStore):
    """As `RedisStore`. `up` while any node answers; `trouble` says which do not."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float = TIMEOUT,
        renewal_every: float = RENEWAL,
        on_state: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`on_state` is told True when every slot has a node that answers, and False when one has none."""
        super().__init__(address, timeout=timeout, renewal_every=renewal_every, on_state=on_state)
        self._nodes: dict[Node, RedisConnection] = {}
        self._by_slot: list[RedisConnection | None] = [None] * SLOTS
        self._whole = False

    async def start(self) -> None:
        """As `RedisStore.start`."""
        self._on_state(False)
        await self._put_in_order()
        self._keeper = asyncio.create_task(self._keep(), name="redis-cluster")

    async def close(self) -> None:
        """Give the lease back and end the connections."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        with suppress(StoreUnavailable):  # the lease ends by itself too
            await self.run(renewal(self.prefix, self._process, end=True), (NAME,))
        self.up, nodes = False, self._nodes
        self._nodes, self._by_slot = {}, [None] * SLOTS
        for connection in nodes.values():
            connection.close()

    def run(self, call: Call, names: Sequence[bytes]) -> "asyncio.Future[Reply]":
        """Run a script over the keys of `names`, which share a slot. Raises StoreUnavailable, at once or later."""
        name = names[0]
        connection = self._by_slot[crc_hqx(name.partition(b"}")[0], 0) % SLOTS]
        if connection is None or connection.lost is not None:
            raise StoreUnavailable(self.trouble or "the node that holds the key does not answer")
        return connection.call(call, names)

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            began = loop.time()
            with suppress(StoreUnavailable):
                while self._whole and not self._lost.is_set():
                    try:
                        # Not wait_for: before Python 3.12 it loses a cancellation that comes with the event.
                        async with asyncio.timeout(self._renewal_every):  # noqa: TID251 - the keeper's, no request's
                            await self._lost.wait()
                    except TimeoutError:
                        await self._renew_lease()
            if loop.time() - began > STEADY:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - replicas should not knock as one
            pause = min(pause * 2, LONGEST_PAUSE)
            await self._put_in_order()

    async def _put_in_order(self) -> None:
        """Read the map, connect to who is missing, renew the lease, and tell how it stands. Never raises."""
        self._lost.clear()
        try:
            trouble = await self._look()
            await self._renew_lease()
        except (OSError, TimeoutError, StoreUnavailable, ValueError) as error:
            trouble = trouble_of(error)
        self.up = any(connection.lost is None for connection in self._nodes.values())
        self._tell(trouble)

    async def _renew_lease(self) -> None:
        count = await self.run(renewal(self.prefix, self._process), (NAME,))
        if not isinstance(count, int) or count < 1:
            raise StoreUnavailable("what answers is not Redis")
        self.processes = count

    async def _look(self) -> str:
        """Read the map of slots and connect to every master; says which do not answer. Raises where no node does."""
        slots = await self._map()
        masters = {each.master for each in slots}
        missing = [node for node in masters if node not in self._nodes or self._nodes[node].lost is not None]
        opened = await asyncio.gather(*(self._link(node) for node in missing), return_exceptions=True)
        faults: list[str] = []
        for node, result in zip(missing, opened, strict=True):
            if isinstance(result, RedisConnection):
                self._nodes[node] = result
            elif isinstance(result, Exception):
                faults.append(f"{written(node)}: {trouble_of(result)}")
        for node in self._nodes.keys() - masters:
            self._nodes.pop(node).close()
        by_slot: list[RedisConnection | None] = [None] * SLOTS
        for each in slots:
            by_slot[each.first : each.last + 1] = [self._alive(each.master)] * (each.last + 1 - each.first)
        self._by_slot = by_slot
        if not faults and None in by_slot:
            faults.append("some slots have no node")
        return "; ".join(sorted(faults))

    async def _map(self) -> list[Slots]:
        """From the first node that answers: one that is connected, else one of the address."""
        trouble: Exception = StoreUnavailable("no node answers")
        connected = [node for node in self._nodes if self._alive(node) is not None]
        for node in dict.fromkeys((*connected, *self._nodes, *self.address.cluster)):
            try:
                connection = self._alive(node) or await self._link(node)
                try:
                    reply = await connection.command(b"CLUSTER", b"SLOTS")
                finally:
                    if connection is not self._nodes.get(node):
                        connection.close()
                return _slots(reply, node[0])
            except (OSError, TimeoutError, StoreUnavailable, ValueError) as error:
                trouble = error
        raise trouble

    def _alive(self, node: Node) -> RedisConnection | None:
        connection = self._nodes.get(node)
        return connection if connection is not None and connection.lost is None else None

    async def _link(self, node: Node) -> RedisConnection:
        connection = await link(self.address, node, self._timeout, lambda _: self._lost.set(), self._moved)
        try:
            await connection.command(b"PING")
        except BaseException:
            connection.close()
            raise
        return connection

    def _moved(
        self, told: str, entry: "tuple[asyncio.Future[Reply], float, Call | None, Sequence[bytes], int]"
    ) -> None:
        """A node says who else holds a slot: `MOVED SLOT HOST:PORT`, or ASK while the slot is on the way."""
        words = told.split()
        host, _, port = words[-1].rpartition(":")
        connection = self._alive((host.strip("[]"), int(port))) if len(words) == 3 and port.isdigit() else None
        if words[0] == "MOVED":
            self._lost.set()  # the map is read anew
            if connection is not None and words[1].isdigit():
                self._by_slot[int(words[1]) % SLOTS] = connection
        if connection is None:
            fail(entry[0], StoreUnavailable("the slot moved to a node that is not connected yet", sick=False))
        else:
            connection.again(entry, asking=words[0] == "ASK")

    def _tell(self, trouble: str) -> None:
        whole = not trouble
        if trouble and trouble != self.trouble:
            log.warning("the limit store %s is down in part or whole: %s", self.address, trouble)
        elif whole and not self._whole:
            log.info("the limit store %s answers", self.address)
        changed, self._whole, self.trouble = whole is not self._whole, whole, trouble
        if changed:
            self._on_state(whole)


def _slots(reply: Reply, asked: str) -> list[Slots]:
    """The reply to CLUSTER SLOTS; `asked`: the host that was asked, which need not know its own name."""
    if not isinstance(reply, list):
        raise StoreUnavailable("what answers is no cluster")
    found = []
    for entry in reply:
        match entry:
            case [int() as first, int() as last, [host, int() as port, *_], *_] if 0 <= first <= last < SLOTS:
                name = host.decode() if isinstance(host, bytes) and host not in (b"", b"?") else asked
                found.append(Slots(first, last, (name, port)))
            case _:
                raise StoreUnavailable("what answers is no cluster")
    return found


def open_store(address: RedisAddress, on_state: Callable[[bool], None]) -> RedisStore:
    """The store of an address, not started yet."""
    return RedisCluster(address, on_state=on_state) if address.cluster else RedisStore(address, on_state=on_state)
