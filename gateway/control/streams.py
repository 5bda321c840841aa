"""Open streams, each of which lasts as long as what authorised it.

Rule: whatever a new request with the same head would now be refused for ends the stream, within a second; to judge it
again counts nothing, spends no limit and no proof, and is off the data path.
Invariant: that a dependency cannot answer ends nothing; the end of a token or certificate does without asking anybody.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice
from operator import is_not

from gateway.kernel.cells import GaugeFamily
from gateway.model.permit import Permit
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.trace import Trace
from gateway.pipeline import decide
from gateway.snapshot import Snapshot

log = logging.getLogger(__name__)

LOOK = 0.25  # seconds between two looks, while anything is open
_A_LOOK = 50  # streams that one look judges again where nothing asked for it
_AGAIN = 1.0  # seconds from one such judgement of a stream to the next, at least
_BATCH = 8  # streams judged before others have their turn of the loop
_WAIT = 0.05  # seconds that a batch holds up the next
_NEVER = float("inf")
_ENDING = frozenset({Effect.CHALLENGE, Effect.DENY, Effect.NO_ROUTE})

End = Callable[[Refused], None]


class Stream:
    """One open answer or upgraded connection."""

    __slots__ = ("_among", "_ends", "at", "drain", "end", "judged", "permit", "task", "websocket")

    def __init__(self, among: "dict[Stream, None]", permit: Permit, end: End, drain: Callable[[], None] | None) -> None:
        self._among = among
        self.permit = permit
        self.end = end
        self.drain = drain
        self.websocket = drain is not None
        self.at = 0.0  # loop time when it was judged last
        self.judged = 0  # the generation that it was judged in
        self._ends: float | None = None
        self.task: asyncio.Task[None] | None = None  # judges it now

    @property
    def ends(self) -> float:
        """When it ends whatever else holds, seconds since the epoch."""
        if self._ends is None:  # most are over before anybody asks
            self._ends = min(_token_ends(self.permit), _certificate_ends(self.permit))
        return self._ends

    def leave(self) -> None:
        """The stream is over."""
        self._among.pop(self, None)


class OpenStreams:
    """The streams of one worker; made once, kept over reloads. Fulfils the forward stage's Streams."""

    def __init__(
        self,
        again: Callable[[float], Snapshot],
        facts: Callable[[], Sequence[object]] = tuple,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`again`: what is at work now, for a request whose proofs were judged at that time (seconds since the epoch).

        `facts`: what verdicts hang on besides; when one is another object, every stream is judged again.
        `clock`: wall clock, seconds since the epoch.
        """
        self._again = again
        self._facts = facts
        self._known: Sequence[object] = ()
        self._clock = clock
        self._streams: dict[Stream, None] = {}  # those judged longest ago first
        self._generation = 0  # counts the causes to judge all of them
        self._timer: asyncio.TimerHandle | None = None
        self._judging: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def __repr__(self) -> str:
        return f"OpenStreams({len(self)} open, generation {self._generation})"

    @property
    def websockets(self) -> int:
        """How many of them are upgraded connections."""
        return sum(stream.websocket for stream in self._streams)

    def observe(self, gauges: GaugeFamily) -> None:
        """Tell how many are open as `streams_open{kind}`."""
        gauges.labels("websocket").ask(lambda: float(self.websockets))
        gauges.labels("http").ask(lambda: float(len(self) - self.websockets))

    def enter(self, permit: Permit, end: End, drain: Callable[[], None] | None = None) -> Stream:
        """A stream is open; its `leave` is called in any case. On the running loop.

        `end` is called once, with what it would be refused for now. `drain`: of an upgraded connection, called when
        the process is about to end.
        """
        stream = Stream(self._streams, permit, end, drain)
        stream.judged = self._generation
        self._streams[stream] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)
        return stream

    def rejudge(self, cause: str) -> None:
        """Something changed by which streams were allowed: judge every one again, now. `cause` is for the log."""
        self._generation += 1
        if self._streams:
            log.info("%d open streams are judged again: %s", len(self._streams), cause)
            self._begin()

    def drain(self) -> None:
        """Tell every upgraded connection that the process is about to end."""
        for stream in tuple(self._streams):
            if stream.drain is not None:
                stream.drain()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        for task in (self._judging, *(stream.task for stream in self._streams)):
            if task is not None:
                task.cancel()
        self._streams.clear()

    def _look(self) -> None:
        """End what has run out, then judge again those that were judged longest ago."""
        self._timer = None
        now = self._clock()
        for stream in tuple(self._streams):
            if stream.ends <= now:
                self._end(stream, _ran_out(stream.permit, now))
        if self._streams:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)
            known, self._known = self._known, self._facts()
            if len(known) != len(self._known) or any(map(is_not, known, self._known)):
                self._generation += 1
            self._begin()

    def _begin(self) -> None:
        if self._judging is None:
            self._judging = asyncio.get_running_loop().create_task(self._judge_due())
            self._judging.add_done_callback(self._judged_due)

    def _judged_due(self, _: "asyncio.Task[None]") -> None:
        self._judging = None
        if any(stream.judged < self._generation and stream.task is None for stream in self._streams):
            self._begin()  # something changed meanwhile

    async def _judge_due(self) -> None:
        generation, loop = self._generation, asyncio.get_running_loop()
        due = [stream for stream in self._streams if stream.judged < generation]
        if not due:
            due = [stream for stream in islice(self._streams, _A_LOOK) if stream.at <= loop.time() - _AGAIN]
        due = [stream for stream in due if stream.task is None]
        for at in range(0, len(due), _BATCH):
            tasks = []
            for stream in due[at : at + _BATCH]:
                if stream in self._streams:
                    stream.task = asyncio.create_task(self._judge(stream, generation))
                    tasks.append(stream.task)
            if tasks:
                await asyncio.wait(tasks, timeout=_WAIT)  # who waits for its issuer holds up no other

    async def _judge(self, stream: Stream, generation: int) -> None:
        refused: Refused | None = None
        try:
            await self._decide(stream.permit)
        except Refused as found:
            refused = found
        except Exception:
            log.exception("an open stream could not be judged again")
        finally:
            stream.task = None
            stream.judged = max(stream.judged, generation)
            stream.at = asyncio.get_running_loop().time()
        if stream not in self._streams:
            return
        del self._streams[stream]
        if refused is not None and _ends_it(refused):
            stream.end(refused)
        else:
            self._streams[stream] = None  # behind the others

    async def _decide(self, permit: Permit) -> None:
        """Raises Refused."""
        before = permit.ctx
        gw = self._again(before.time)
        trace = Trace(before.connection, before.head, request_id=before.request_id, time=self._clock(), began=0.0)
        await decide(gw.accept(trace), gw, trace)

    def _end(self, stream: Stream, cause: Refused) -> None:
        if stream in self._streams:
            del self._streams[stream]
            stream.end(cause)


def _ends_it(refused: Refused) -> bool:
    return refused.reason.effect in _ENDING or refused.reason is Reason.UPGRADE_REFUSED


def _token_ends(permit: Permit) -> float:
    """A clock's skew is forgiven to who comes in, not to who stays: `exp`, unless it had passed at the door."""
    user = permit.principal.user
    if user is None:
        return _NEVER
    exp = user.claims.get("exp")
    if isinstance(exp, int | float) and permit.ctx.time < exp < user.expires:
        return float(exp)
    return user.expires


def _certificate_ends(permit: Permit) -> float:
    workload = permit.principal.workload
    return _NEVER if workload is None else workload.not_after


def _ran_out(permit: Permit, now: float) -> Refused:
    if _token_ends(permit) <= now:
        return Refused(Reason.TOKEN_EXPIRED, "exp has passed")
    return Refused(Reason.CERTIFICATE_EXPIRED, "the client's certificate has ended")
