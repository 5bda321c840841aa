"""One connection to Redis on which calls are pipelined: as many in flight as there are, one write a loop tick.

Replies come in the order of the calls, so a reply that is late spoils the connection: it is cut, and every call on it
fails. One timer serves all calls: their deadlines are in order too.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import hiredis

from gateway.kernel.store.failure import StoreUnavailable, refused
from gateway.kernel.store.script import Call, command

Reply: TypeAlias = "bytes | int | list[Reply] | None"
_LATE = 0.005  # seconds by which a timer of a busy loop may be late
_TRIES = 5  # times that one call is sent: script unknown, slot moved, slot moved again
_Pending: TypeAlias = "tuple[asyncio.Future[Reply], float, Call | None, Sequence[bytes], int]"
Redirect: TypeAlias = "Callable[[str, _Pending], None]"
"""Told what a cluster's node answered instead (MOVED or ASK, slot, where), and of the call: it sends it `again`."""


class RedisConnection(asyncio.Protocol):
    """Made by a loop's `create_connection`; dead from its first trouble on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        on_lost: Callable[[StoreUnavailable], None],
        redirect: "Redirect | None" = None,
    ) -> None:
        """`timeout`: seconds that a reply may take. `on_lost` is called once, with what went wrong.

        `redirect`: of a node of a cluster.
        """
        self._loop = loop
        self._timeout = timeout
        self._on_lost = on_lost
        self._redirect = redirect
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()
        self._pending: deque[_Pending] = deque()
        self._out: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self.lost: StoreUnavailable | None = None

    def call(self, call: Call, names: Sequence[bytes]) -> "asyncio.Future[Reply]":
        """Run a script. The future raises StoreUnavailable."""
        return self._send(call.by_sha(names), call, names)

    def command(self, *arguments: bytes) -> "asyncio.Future[Reply]":
        """Run a plain command. The future raises StoreUnavailable."""
        return self._send(command(*arguments), None, ())

    def close(self) -> None:
        """End it; calls in flight fail."""
        self._lose(StoreUnavailable("the connection to Redis was closed"), tell=False)

    def _send(self, data: bytes, call: Call | None, names: Sequence[bytes]) -> "asyncio.Future[Reply]":
        loop = self._loop
        future: asyncio.Future[Reply] = loop.create_future()
        if self.lost is not None:
            future.set_exception(self.lost)
            return future
        self._pending.append((future, loop.time() + self._timeout, call, names, 1))
        self._write(data)
        if self._timer is None:
            self._timer = loop.call_later(self._timeout, self._expire)
        return future

    def again(self, entry: _Pending, *, asking: bool) -> None:
        """Send a call that another node turned away. `asking`: its slot is on the way here (ASK)."""
        future, due, call, names, tries = entry
        if call is None or self.lost is not None or tries >= _TRIES:
            fail(future, self.lost or StoreUnavailable("the cluster sends a call in circles", sick=False))
            return
        if asking:
            nobody: asyncio.Future[Reply] = self._loop.create_future()
            nobody.cancel()
            self._pending.append((nobody, due, None, (), 1))
            self._write(command(b"ASKING"))
        self._pending.append((future, due, call, names, tries + 1))
        self._write(call.whole(names))
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._expire)

    def _write(self, data: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._transport is not None and self.lost is None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _expire(self) -> None:
        self._timer = None
        if not self._pending:
            return
        now, due = self._loop.time(), self._pending[0][1]
        if due > now:
            self._timer = self._loop.call_at(due, self._expire)
        elif now - due > _LATE:
            # The loop itself was held up, and timers run before sockets: the reply may lie there. Read, then judge.
            future, _, call, names, tries = self._pending[0]
            self._pending[0] = future, now + _LATE, call, names, tries
            self._timer = self._loop.call_later(_LATE, self._expire)
        else:
            self._lose(StoreUnavailable(f"Redis did not answer within {self._timeout * 1000:.0f} ms"))

    def _lose(self, trouble: StoreUnavailable, *, tell: bool = True) -> None:
        if self.lost is not None:
            return
        self.lost = trouble
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        pending, self._pending = self._pending, deque()
        for future, *_ in pending:
            fail(future, trouble)
        if tell:
            self._on_lost(trouble)

    def _refuse(self, entry: _Pending, reply: hiredis.ReplyError) -> None:
        future, due, call, names, tries = entry
        if call is not None:
            text = str(reply)
            if tries < _TRIES and text.startswith("NOSCRIPT"):
                self._pending.append((future, due, call, names, _TRIES))
                self._write(call.whole(names))
                return
            if self._redirect is not None and text.startswith(("MOVED ", "ASK ")):
                self._redirect(text, entry)
                return
        trouble = refused(reply)
        fail(future, trouble)
        if trouble.sick and not (self._redirect is not None and str(reply).startswith("CLUSTERDOWN")):
            self._lose(trouble)  # a node whose cluster votes is back by itself, and is well

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are one in all but name

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                entry = self._pending.popleft()
                if isinstance(reply, hiredis.ReplyError):
                    self._refuse(entry, reply)
                    if self.lost is not None:
                        return
                elif not entry[0].done():
                    entry[0].set_result(reply)
        except (hiredis.ProtocolError, IndexError):
            self._lose(StoreUnavailable("what answers is not Redis"))

    def eof_received(self) -> None:
        self._lose(StoreUnavailable("Redis closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(StoreUnavailable("the connection to Redis broke"))


def fail(future: "asyncio.Future[Reply]", trouble: StoreUnavailable) -> None:
    """Nothing comes of a call."""
    if not future.done():
        future.set_exception(trouble)
