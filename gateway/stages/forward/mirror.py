"""`mirror`: copies of requests to a shadow upstream.

Rule: fire and forget: the client's request neither waits for its copy nor hears of it; bodies are copied only if small.
Invariant: what a copy may cost is bounded: how many are at work, how long each takes, how much of its answer is read.
"""

import asyncio
import logging
from collections.abc import Callable
from random import random

from gateway.model.answer import OwnFields, WrittenFields
from gateway.model.exchange import ClientGone, Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders
from gateway.stages.forward.kept import KeptBody, small
from gateway.stages.forward.stage import Way

log = logging.getLogger(__name__)

_AT_WORK = 64  # copies at once, of one route in one worker; beyond them no copy is made
_MAX_ANSWER = 1 << 20  # bytes that are read and dropped


class Mirror:
    """A route's way, and beside it the copies."""

    def __init__(self, way: Way, shadow: Way, percent: int) -> None:
        """`shadow` has a timeout of its own."""
        self._way = way
        self._shadow = shadow
        self._chance = percent / 100
        self._copies: set[asyncio.Task[None]] = set()

    async def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        """Raises Refused while no head was sent."""
        if random() >= self._chance or not small(exchange.head):  # noqa: S311 - no secret hangs on it
            return await self._way(permit, exchange, answer_headers)
        if not exchange.head.has_body:
            self._copy(permit, exchange, [])
            return await self._way(permit, exchange, answer_headers)
        kept = KeptBody(exchange, lambda: self._copy(permit, exchange, kept.pieces))
        return await self._way(permit, kept, answer_headers)

    def _copy(self, permit: Permit, exchange: Exchange, pieces: list[bytes]) -> None:
        if len(self._copies) >= _AT_WORK:
            return
        task = asyncio.get_running_loop().create_task(self._send(permit, _Copy(exchange, pieces)))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def _send(self, permit: Permit, copy: "_Copy") -> None:
        try:
            await self._shadow(permit, copy, [])
        except Refused as refused:
            log.debug("a mirrored request failed: %s", refused.reason.code)
        except Exception:
            log.exception("a mirrored request failed")


class _Copy:
    """An `Exchange` without a client: it reads what was kept, and drops what it is answered."""

    at_hand = False

    def __init__(self, exchange: Exchange, pieces: list[bytes]) -> None:
        self.connection = exchange.connection
        self.head = exchange.head
        self.started = False
        self._left = iter(list(pieces))
        self._read = 0

    async def read(self) -> bytes:
        return next(self._left, b"")

    def hint(self, links: RawHeaders) -> None:
        """Nobody is there to be told."""

    async def send_head(self, status: int, headers: RawHeaders, body: bytes = b"", *, end: bool) -> None:
        self.started = True
        await self.send(body, end=end)

    async def send_written(self, status: int, front: WrittenFields, own: OwnFields, body: bytes) -> None:
        await self.send_head(status, front.fields, body, end=True)

    async def send(self, data: bytes, *, end: bool) -> None:
        self._read += len(data)
        if self._read > _MAX_ANSWER:
            raise ClientGone

    def abort(self) -> None:
        """Nobody is there to be told."""

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Nobody is there to go."""
