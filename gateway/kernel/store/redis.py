"""The store in one Redis, or in the master that sentinels name: one pipelined connection that is kept by one task.

While the store is down every call fails at once, and the task alone asks whether it is back, with growing pauses: no
request waits for a store that is known to be down, and none is sacrificed to find out.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

from gateway.kernel.store.address import Node, RedisAddress
from gateway.kernel.store.connection import RedisConnection, Reply
from gateway.kernel.store.failure import StoreUnavailable
from gateway.kernel.store.lease import NAME, RENEWAL, renewal
from gateway.kernel.store.link import find_master, link
from gateway.kernel.store.script import Call

log = logging.getLogger(__name__)

TIMEOUT = 0.05  # seconds that a request waits for Redis at most
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between probes
STEADY = 5.0  # seconds after which a connection that breaks is no sign of a store that only seems to be up
VERSION = b"1"  # of what the keys mean


class RedisStore:
    """Made once for an address and kept over reloads; `start` it in a running loop, `close` it at the end."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float = TIMEOUT,
        renewal_every: float = RENEWAL,
        on_state: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`timeout`, `renewal_every`: seconds. `on_state` is told True or False when the store comes and goes."""
        self.address = address
        self.prefix = address.prefix.encode() + b":" + VERSION + b":"
        self.up = False
        self.trouble = "not connected yet"  # why it is down, for a log or a status page
        self.processes: int | None = None  # with a lease, as far as the store last said
        self._timeout = timeout
        self._renewal_every = renewal_every
        self._on_state = on_state
        self._connection: RedisConnection | None = None
        self.node: Node | None = None  # who the sentinels said is master
        self._process = secrets.token_hex(8).encode()
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"RedisStore({self.address}, {'up' if self.up else 'down: ' + self.trouble})"

    async def start(self) -> None:
        """Connect, or say once in the log that it failed; from then on the store looks after itself. Never raises."""
        self._on_state(False)
        try:
            await self._connect()
        except (OSError, TimeoutError, StoreUnavailable, ValueError) as error:
            self._down(trouble_of(error))
        self._keeper = asyncio.create_task(self._keep(), name="redis-store")

    async def close(self) -> None:
        """Give the lease back and end the connection."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        connection, self._connection, self.up = self._connection, None, False
        if connection is not None:
            with suppress(StoreUnavailable):  # the lease ends by itself too
                await connection.call(renewal(self.prefix, self._process, end=True), (NAME,))
            connection.close()

    def run(self, call: Call, names: Sequence[bytes]) -> "asyncio.Future[Reply]":
        """Run a script over the keys of `names`. Raises StoreUnavailable, at once or from the future."""
        if self._connection is None:
            raise StoreUnavailable(self.trouble)
        return self._connection.call(call, names)

    def read(self, command: bytes, key: bytes, *arguments: bytes) -> "asyncio.Future[Reply]":
        """Run a command that reads one key, named whole. Raises StoreUnavailable, at once or from the future."""
        if self._connection is None:
            raise StoreUnavailable(self.trouble)
        return self._connection.command(command, key, *arguments)

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            began = loop.time()
            try:
                if self._connection is None:
                    await self._connect()
                await self._while_up()
            except (OSError, TimeoutError, StoreUnavailable, ValueError) as error:
                self._down(trouble_of(error))
            if loop.time() - began > STEADY:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - replicas should not knock as one
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _while_up(self) -> None:
        """Renew the lease until the connection is lost."""
        while self._connection is not None:
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(self._renewal_every):  # noqa: TID251 - the keeper's, no request waits here
                    await self._lost.wait()
            except TimeoutError:
                await self._renew(self._connection)
                await self._still_master()

    async def _still_master(self) -> None:
        """A master that was cut off goes on taking writes, and does not know better: the sentinels do."""
        if self.node is None:
            return
        with suppress(StoreUnavailable):  # without sentinels the one that answers is the one there is
            found = await find_master(self.address)
            if found != self.node:
                self._down("the sentinels name another master")

    async def _connect(self) -> None:
        """Open a connection and prove that it can write. Raises OSError, TimeoutError, StoreUnavailable, ValueError."""
        address = self.address
        node = self.node = await find_master(address) if address.sentinels else None
        connection = await link(address, node, self._timeout, self._gone)
        try:
            await self._renew(connection)
        except BaseException:
            connection.close()
            raise
        self._lost.clear()
        self._connection, self.up, self.trouble = connection, True, ""
        self._on_state(True)
        log.info("the limit store %s answers", address)

    async def _renew(self, connection: RedisConnection) -> None:
        count = await connection.call(renewal(self.prefix, self._process), (NAME,))
        if not isinstance(count, int) or count < 1:
            raise StoreUnavailable("what answers is not Redis")
        self.processes = count

    def _gone(self, trouble: StoreUnavailable) -> None:
        """A connection ended by itself; one that was never up is the business of who was opening it."""
        if self._connection is not None and self._connection.lost is not None:
            self._connection = None
            self._down(str(trouble))
            self._lost.set()

    def _down(self, trouble: str) -> None:
        if self.up or self.trouble != trouble:
            log.warning("the limit store %s is down: %s", self.address, trouble)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        was_up, self.up, self.trouble = self.up, False, trouble
        if was_up:
            self._on_state(False)


def trouble_of(error: Exception) -> str:
    """What to tell people, without what a message of a library may quote."""
    if isinstance(error, StoreUnavailable):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it does not accept connections in time"
    return f"{type(error).__name__}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
