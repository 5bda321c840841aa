"""The audit log of one worker: takes records, writes them once a tick, and says when they are with the system.

All records of one loop tick are sealed and written by one `os.write` at its end. What cannot be written is never taken
for written: the chain goes back to where it stood, and what may wait is tried again.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from gateway.kernel.cells import Counter, Gauge
from gateway.model.json import JSON
from gateway.stages.record.chain import Chain, Sign
from gateway.stages.record.flood import Flood, Held
from gateway.stages.record.promise import Promise
from gateway.stages.record.pruning import PRUNED, Pruner, remove
from gateway.stages.record.settings import LogSettings
from gateway.stages.record.sink import Sink
from gateway.stages.record.stream import AuditError, open_stream
from gateway.stages.record.syncer import Syncer, finish
from gateway.stages.record.text import Stamp, quote
from gateway.stages.record.times import Times, Turn
from gateway.stages.record.tree import Tree
from gateway.stages.record.waiting import Waiting

log = logging.getLogger(__name__)

BACKLOG = 10_000  # records that wait for a disk that fails; more are counted
_BUFFER_SECONDS = 0.1
_RETRY_SECONDS = 0.25  # between two tries while the disk fails
_ROTATE_SECONDS = 10.0  # likewise for beginning a segment
_NOT_WRITTEN = "audit_unavailable"


class AuditLog:
    """One stream. Made once, kept over reloads while its settings stay equal, closed at a clean stop."""

    def __init__(
        self,
        settings: LogSettings,
        *,
        sign: Sign | None,
        clock: Callable[[], float],
        records: Counter,
        lag: Gauge,
        sinks: Sequence[Sink] = (),
    ) -> None:
        """Opens the stream and continues it. Raises AuditError. The sinks are started and closed with the log."""
        self.settings = settings
        self._clock = clock
        self._file = open_stream(settings.directory, settings.stream)
        self._chain = Chain(settings.stream, self._file.seq, self._file.head, sign)
        self._stamp = Stamp()
        self._tree = Tree()
        self._pruner = Pruner(settings.directory, settings.stream, settings.keep) if settings.keep is not None else None
        self.sinks = sinks
        self._records = records
        self._lag = lag
        self._pending: list[Waiting] = []
        self.turn: Turn | None = None  # of the loop, in which records wait; None also while the log does not work
        self.promise: Promise | None = None  # kept once what is pending is written; None: nobody waits for it
        self._checkpoint_due = False
        self._flood = Flood()
        self._buffered = settings.durability == "buffered"
        self._times = Times(clock)
        self._failure: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flushing: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._syncer = Syncer(lambda: self._file.descriptor, self._not_synced)
        self._made_durable = self._syncer.join if settings.durability == "synced" else Promise.keep
        self._must_rotate = False  # what the file at work holds is unknown, or it is out of reach
        self._rotate_again = 0.0  # not before this time: a segment could not be begun
        self._begin()

    @property
    def failure(self) -> str | None:
        """Why the log cannot be written now; None while it can."""
        return self._failure

    def start(self) -> None:
        """Begin to write at each tick's end and to make checkpoints, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._lag.ask(self._age)
        for sink in self.sinks:
            sink.start()
        self._timer = self._loop.call_later(self.settings.checkpoint, self._tick)
        if self._pending:
            self._schedule()

    def status(self) -> JSON:
        """For /status."""
        return {
            "stream": self.settings.stream,
            "seq": self._chain.seq,
            "head": self._chain.head,
            "segment": self._file.path.name,
            "waiting": len(self._pending),
            "failure": self._failure,
        }

    # ---- taking records

    def write(self, kind: str, members: str, keep: bool, ids: str = "") -> Promise:
        """Queue a record; the promise says True once it is as durable as the settings ask, False when it failed.

        `keep`: a record that could not be written is still true and is tried again. `ids`: members before the others.
        """
        loop = self._loop
        if loop is None:
            raise RuntimeError("the audit log was not started")
        if self._buffered:
            if self._failure is None or keep:
                self.queue(kind, members, ids)
            return Promise(loop, written=self._failure is None)
        self._pending.append((kind, self._times.shared or self._first(), ids, members, keep))
        promise = self.promise = self.promise or Promise(loop)
        if self._flushing is None:
            self._schedule()
        return promise

    def queue(self, kind: str, members: str, ids: str = "") -> None:
        """Queue a record that nobody waits for; it is tried again until it is written or the backlog is full."""
        if len(self._pending) >= BACKLOG:
            self._flood.lost(kind, _NOT_WRITTEN, self._clock())
            return
        self._pending.append((kind, self._times.shared or self._first(), ids, members, True))
        if self._flushing is None:
            self._schedule()

    def admits(self, kind: str, reason: str) -> bool:
        """Whether the second's budget of this kind and reason has room; when not, the record is counted and told of."""
        if self._flood.admits(kind, reason, self._clock()):
            return True
        if self._telling is None and self._loop is not None:
            self._telling = self._loop.call_later(1.0, self._tell)
        return False

    # ---- writing them

    async def close(self) -> None:
        """The clean stop: what waits, what was held back, and a checkpoint, made durable. Raises nothing."""
        self._loop = None  # nothing is scheduled any more
        for handle in (self._timer, self._telling, self._flushing):
            if handle is not None:
                handle.cancel()
        self._told(self._flood.told(self._clock(), closing=True))
        self._checkpoint_due = True
        self._flush()
        await asyncio.gather(self._syncer.close(), *(asyncio.to_thread(sink.close) for sink in self.sinks))
        self._lag.ask(None)
        self._file.close()

    def _begin(self) -> None:
        """The first segment where there is none, and the mark of what a crash tore. Raises AuditError."""
        try:
            if self._file.number == 0:
                self._rotate(self._times.now())
        except OSError as error:
            self._file.close()
            raise AuditError(f"{self.settings.directory}: the audit log cannot be written: {error.strerror}") from None
        for torn in self._file.torn:
            members = f',"file":{quote(torn.file)},"bytes":{torn.size},"sha256":"{torn.sha256}"'
            self._pending.append(("repair", self._times.now(), "", members, True))

    def _schedule(self) -> None:
        if self._loop is None:
            return
        if self._failure is not None:
            self._flushing = self._loop.call_later(_RETRY_SECONDS, self._flush)
        elif self._buffered:
            self._flushing = self._loop.call_later(_BUFFER_SECONDS, self._flush)
        else:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """The tick's end: seal what waits, write it at once, then let the waiting requests go on."""
        self._flushing = None
        self._times.shared, self.turn = 0.0, None
        batch, self._pending = self._pending, []
        promise, self.promise = self.promise, None
        checkpoint, self._checkpoint_due = self._checkpoint_due, False
        if not batch and not checkpoint:
            return
        chain = self._chain
        mark = chain.seq, chain.head
        try:
            for sink in self.sinks:
                sink.demand(len(batch) + checkpoint)
            self._rotate_when_due(batch[0][1] if batch else self._times.now())
            mark = chain.seq, chain.head  # a new segment's own record stands whatever becomes of the batch
            texts, hashes = chain.seal_all(batch, self._stamp)
            data = "".join(texts).encode()
            if checkpoint:
                data += self._checkpoint(hashes)
                hashes.append(chain.head)
            self._file.append(data)
        except OSError as error:
            chain.seq, chain.head = mark
            self._failed(batch, error)
            if promise is not None:
                promise.keep(written=False)
            return
        if self._failure is not None:
            log.warning("audit: records are written again")
            self._failure = None
        self._wrote(data, hashes, {kind for kind, *_ in batch} if checkpoint else None)
        if promise is not None:
            self._made_durable(promise)

    def _checkpoint(self, hashes: list[str]) -> bytes:
        """A checkpoint, with the tree over what came since the last one; what has these hashes stands right before."""
        tree = self._tree.root(hashes, self._chain.seq) if hashes or self._tree.due else None
        return self._chain.seal_checkpoint(self._stamp(self._times.now()), tree)

    def _wrote(self, data: bytes, hashes: list[str], before: Collection[str] | None = None) -> None:
        """`data` holds a line for each hash. `before`: the kinds before the checkpoint; None: there is none."""
        self._records.inc(len(hashes))
        tree = self._tree
        if before is not None and (tree.due or len(hashes) > 1):
            tree.clear()
            tree.add(hashes[-1:], self._chain.seq)
        else:
            tree.add(hashes, self._chain.seq)
            tree.due = before is None
        for sink in self.sinks:
            sink.take(data.splitlines(keepends=True))
        if before is not None and self._pruner is not None and (doomed := self._pruner.wrote(before)):
            self._syncer.run(remove, doomed)

    def _failed(self, batch: list[Waiting], error: OSError) -> None:
        if self._failure is None:
            log.error("audit: records cannot be written to %s: %s", self._file.path, error.strerror)
        self._failure = error.strerror or "unknown error"
        again = [waiting for waiting in batch if waiting[4]]
        room = max(0, BACKLOG - len(self._pending))
        for kind, at, *_ in again[room:]:
            self._flood.lost(kind, _NOT_WRITTEN, at)
        self._pending[:0] = again[:room]
        if self._pending:
            self._schedule()

    def _not_synced(self, error: OSError) -> None:
        log.error("audit: records may not be on the disk: %s", error.strerror)
        self._failure = error.strerror or "fsync failed"
        self._must_rotate = True

    def _rotate_when_due(self, now: float) -> None:
        file = self._file
        began = file.began if file.began is not None else now
        due = file.size >= self.settings.segment_size or now - began >= self.settings.segment_age
        if not self._must_rotate and (not due or now < self._rotate_again):
            return
        try:
            self._rotate(now)
        except OSError as error:
            if self._must_rotate:
                raise
            log.warning("audit: no new segment could be begun, the old one goes on: %s", error.strerror)
            self._rotate_again = now + _ROTATE_SECONDS
        else:
            self._must_rotate = False

    def _rotate(self, now: float) -> None:
        """Begin a segment with the record that binds the file before it. Raises OSError; then nothing has changed."""
        chain, file = self._chain, self._file
        mark = chain.seq, chain.head
        before = "null"
        if file.number > 0:
            before = f'{{"file":{quote(file.path.name)},"seq":{chain.seq},"hash":"{chain.head}"}}'
        line = b""

        def first(number: int) -> bytes:
            nonlocal line
            chain.seq, chain.head = mark
            line = chain.seal("segment", self._stamp(now), f',"segment":{number},"before":{before}')
            return line

        try:
            old = file.next_segment(first, now)
        except OSError:
            chain.seq, chain.head = mark
            raise
        self._wrote(line, [chain.head])
        if old >= 0:
            finish(old, synced=self.settings.durability == "synced")

    # ---- by the clock

    def _tick(self) -> None:
        """A checkpoint, idle or not; tries again what could not be written."""
        if self._loop is None:
            return
        self._timer = self._loop.call_later(self.settings.checkpoint, self._tick)
        if not self._must_rotate and self._file.replaced():
            log.error("audit: %s was moved, deleted or cut by another program: a new segment begins", self._file.path)
            self._must_rotate = True
        if self._failure is None:
            self._told(self._flood.told(self._clock()))
        if self._pruner is not None and (members := self._pruner.announce(self._clock(), self._file.number)):
            self._pending.append((PRUNED, self._times.now(), "", members, False))
        self._checkpoint_due = True
        if self._flushing is None:
            self._schedule()

    def _tell(self) -> None:
        self._telling = None
        if self._failure is None:
            self._told(self._flood.told(self._clock()))
        if self._flood.holding() and self._loop is not None:
            self._telling = self._loop.call_later(1.0, self._tell)

    def _told(self, held: list[Held]) -> None:
        for one in held:  # beside the backlog: a row for each kind at most
            of = f',"kind":"{one.kind}","reason":{quote(one.reason)}'
            members = f',"count":{one.count},"since":"{self._stamp(one.since)}"'
            self._pending.append(("suppressed", self._times.now(), of, members, True))
        if held and self._flushing is None:
            self._schedule()

    def _first(self) -> float:
        """The time of a record that no other waits beside."""
        shared = self._failure is None and not self._buffered
        at = self._times.first(shared=shared)
        self.turn = Turn(at, self._pending.append) if shared else None
        return at

    def _age(self) -> float:
        return max(0.0, self._clock() - self._pending[0][1]) if self._pending else 0.0
