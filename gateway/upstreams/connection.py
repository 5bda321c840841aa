"""One connection to a backend: bytes out, one answer in, deadlines, back pressure.

Rule: one request at a time; what ends it early (client gone, deadline, a fault) ends the connection with it.
Invariant: nothing is written before the handshake is done and the backend's identity verified.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from gateway.model.answer import AnswerSection
from gateway.model.exchange import ClientGone
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.backlog import Backlog
from gateway.upstreams.lost import why_lost
from gateway.upstreams.owner import Owner
from gateway.upstreams.reply import Reply
from gateway.upstreams.response import EARLY_HINTS, ResponseReader
from gateway.upstreams.usual import read_usual

_HIGH_WATER = 65536  # bytes of an answer that wait for the client; more, and the backend's socket is not read
_NEVER = float("inf")
_OVER = -_NEVER


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 to one endpoint.

    A request: `begin`, `write`…, `sent`, `more` until the head is there, `read` until b"", `finish` in any case.
    One without a body: `ask`, and what that says.
    """

    __slots__ = (
        "_armed",
        "_asked",
        "_backlog",
        "_deadline",
        "_end",
        "_idle",
        "_last",
        "_owner",
        "_reply",
        "_response",
        "_stopped",
        "_timer",
        "_total",
        "_transport",
        "_unread",
        "_waiter",
        "answer",
        "asked_at",
        "born",
        "busy",
        "closed",
        "failure",
        "kept_until",
        "loop",
        "on_failure",
        "served",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self.loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None  # who waits for more of the answer
        self._reply = Reply(loop)  # what the one waits for who asked
        self._asked = False  # by `ask`, and nothing of the answer has come
        self._last: AnswerSection | None = None  # of the usual answer before
        self._backlog = Backlog()
        self._unread = 0  # bytes that came and were not taken yet
        self._stopped = False  # reading from the backend is paused
        self._timer: asyncio.TimerHandle | None = None
        self._armed = _NEVER  # when the timer goes off
        self._deadline = _NEVER  # when it should: it is moved lazily, so a request costs no timer of its own
        self._response = self._idle = self._total = _NEVER
        self.answer = ResponseReader()
        self._end: Exception | None = None  # what the transport ended with
        self.born = self.asked_at = loop.time()  # the latter: when `ask` was called last
        self.kept_until = _OVER  # loop time, set by the owner: from then on it carries no other request
        self.served = 0  # requests begun
        self.busy = False
        self.closed = False
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] | None = None  # frees whoever waits for something else than this

    def expect(self, deadline: float) -> None:
        """Something is due at `deadline` (loop time): else a busy connection fails and an idle one is closed."""
        self._deadline = deadline
        if deadline < self._armed:
            self._arm(deadline)

    def close(self) -> None:
        """End it properly: close_notify, FIN."""
        self._drop()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Break it off."""
        self._drop()
        if self._transport is not None:
            self._transport.abort()

    def begin(self, method: str, response: float, idle: float, total: float) -> None:
        """A request starts. `response` and `idle` in seconds, `total` in loop time."""
        self.busy = True
        self.served += 1
        self._unread = 0
        self._response = response if response < idle else idle  # noqa: FURB136 - min() would be a call a request
        self._idle = idle
        self._total = total
        self.answer.begin(method)
        if self.closed:
            self.failure = why_lost(self.answer, self._end, first=self.served == 1)

    def ask(self, method: str, first: float, idle: float, total: float, head: bytes) -> Reply:
        """A whole request without a body, on an idle connection. `first`, `idle` in seconds, `total` in loop time.

        Where it is done with a usual answer, whole, that is all: the connection is idle again, and its owner's to put
        back. With None it is as after `begin`, `write`, `sent` and `more`. `first`: until a byte of the answer comes.
        """
        reply, transport = self._reply, self._transport
        reply.begin()
        self.busy = True
        self.served += 1
        if self.answer.awaits != method:  # a usual answer leaves the reader as it was
            self.answer.begin(method)
            self._unread = 0
        if transport is None or self.closed:
            self.fail(why_lost(self.answer, self._end, first=self.served == 1))
            return reply
        self._asked = method != "HEAD"
        transport.write(head)
        self._idle = idle
        self._total = total
        self.asked_at = now = self.loop.time()
        deadline = now + first
        self._deadline = deadline = deadline if deadline < total else total  # noqa: FURB136 - as above
        if deadline < self._armed:
            self._arm(deadline)
        return reply

    def write(self, data: bytes) -> None:
        """Hand bytes of the request to the transport."""
        if self._transport is not None and self.failure is None:
            self._transport.write(data)

    def touch(self) -> None:
        """A byte moved: idleness begins anew."""
        deadline = self.loop.time() + self._idle
        self.expect(min(self._total, deadline))

    async def drain(self) -> None:
        """Wait while the backend does not take what was written. Raises what ended the connection."""
        self.touch()
        if self._backlog.full and self.failure is None:
            await self._backlog.taken(self.loop)
        if self.failure is not None:
            raise self.failure

    def sent(self) -> None:
        """The last byte of the request was handed over: the answer is due."""
        if not self.answer.head_done:
            deadline = self.loop.time() + self._response
            self.expect(min(self._total, deadline))

    def more(self) -> "asyncio.Future[None]":
        """Done when more of the answer is there: its head, then each piece. Fails with what ended the connection."""
        waiter = self._waiter = self.loop.create_future()
        if self.failure is not None:
            self._wake()
        return waiter

    async def read(self) -> bytes:
        """More of the body, b"" at its end. Raises what ended the connection before the body was whole."""
        answer = self.answer
        while not answer.chunks:
            if answer.complete:
                return b""
            await self.more()
        data = self.take()
        self.touch()
        return data

    def take(self) -> bytes:
        """What of the body is there; the backend may send more."""
        self._unread = 0
        if self._stopped:
            self._stopped = False
            if self._transport is not None:
                self._transport.resume_reading()
        return self.answer.take()

    def fail(self, failure: Exception, *, flush: bool = False) -> None:
        """End the request and the connection; whoever waits is told why. `flush`: what was written goes out before."""
        if self.failure is None and self.busy:
            self.failure = failure
            if flush:
                self.close()
            else:
                self.abort()
            self._wake()
            self._backlog.wake()
            if self.on_failure is not None:
                self.on_failure()

    def client_gone(self) -> None:
        """The client left: nobody wants this answer."""
        self.fail(ClientGone())

    def finish(self, *, whole: bool) -> None:
        """The request is over; `whole`: it was sent to its last byte. Back to the pool, or closed."""
        answer = self.answer
        self.on_failure = None
        if self.failure is not None:
            self.failure.__traceback__ = None  # its frames hold this
        if not answer.complete or self.failure is not None:
            self.abort()
        elif whole and answer.reusable and not self.closed:
            self.busy = False
            self._owner.put_back(self, self.loop.time())
            return
        else:
            self.close()
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self.answer
        if self._asked:
            self._asked = False
            usual = read_usual(data, self._last)
            if usual is not None:
                self._last = usual[1]
                self.busy = False  # so that bytes behind it end the connection
                self._reply.came(usual)
                return
            answer.parse(data)
        elif self.busy:
            answer.feed(data)
        else:
            self.abort()  # an answer that nobody asked for would be taken for the next request's
            return
        if answer.reusable:  # whole and sound: the usual answer
            self._wake()
            return
        if answer.fault is not None:
            reason = Reason.UPSTREAM_RESET if answer.head_done else Reason.UPSTREAM_PROTOCOL
            self.fail(Refused(reason, answer.fault))
        elif answer.head_done:
            if not answer.complete:
                self.touch()
                if answer.chunks:  # what frames a body is held by nobody
                    self._unread += len(data)
                if self._unread > _HIGH_WATER and not self._stopped and self._transport is not None:
                    self._stopped = True
                    self._transport.pause_reading()
            self._wake()
        elif answer.status == EARLY_HINTS:
            self._wake()

    def eof_received(self) -> None:
        """The end was said and not just cut: over TLS by close_notify (RFC 9112 section 9.8)."""
        if self.busy and self.answer.close_delimited:
            self.answer.end()
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end = exc
        if not self.answer.complete:
            self.fail(why_lost(self.answer, exc, first=self.served == 1))
        self._drop()
        self._backlog.wake()

    def pause_writing(self) -> None:
        self._backlog.full = True

    def resume_writing(self) -> None:
        self._backlog.full = False
        self._backlog.wake()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "active" if self.busy else "idle"
        return f"Connection({state}, requests: {self.served})"

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = when
        self._timer = self.loop.call_at(when, self._due)

    def _due(self) -> None:
        self._timer = None
        self._armed = _NEVER
        if self.closed:
            return
        if self.loop.time() < self._deadline:
            self._arm(self._deadline)
        elif self.busy:
            self.fail(Refused(Reason.UPSTREAM_TIMEOUT, "the backend took too long"))
        else:
            self.close()

    def _drop(self) -> None:
        if not self.closed:
            self.closed = True
            self.kept_until = _OVER
            self.answer.close()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._owner.dropped(self)

    def _wake(self) -> None:
        self._reply.settle(self.failure)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if waiter.done():
                return
            if self.failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(self.failure)
