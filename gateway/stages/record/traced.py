"""The record stage where `telemetry` is configured: it also hands requests over to become spans.

Rule: which request is recorded was settled when its trace began (the caller's word, else the ratio); denials may be
recorded always. Invariant: nothing here waits for a collector.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.kernel.cells import Metrics
from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.trace import Trace
from gateway.stages.record.log import AuditLog
from gateway.stages.record.settings import RecordSettings
from gateway.stages.record.spans import DENIALS, Ended, SpanMaker, TimedTrace, ended
from gateway.stages.record.stage import Record

_SAMPLED = 1  # W3C trace flag
FORCED_A_SECOND = 100  # denials beyond the sample: a flood of them is not to fill the collector


@dataclass(frozen=True, slots=True)
class Tracing:
    """What a traced stage needs besides the rest."""

    make: SpanMaker
    send: Callable[[Sequence[tuple[SpanMaker, Ended]]], bool]  # never waits
    denials: bool  # record each denial, whatever the sample says


class TracedRecord(Record):
    """`Record`, with spans."""

    def __init__(
        self,
        settings: RecordSettings,
        log: AuditLog,
        metrics: Metrics,
        tracing: Tracing,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(settings, log, metrics, clock=clock)
        self._make, self._send, self._denials = tracing.make, tracing.send, tracing.denials
        self._second = 0  # in which denials were forced
        self._forced = 0

    def begin(self, exchange: Exchange) -> Trace:
        """A request begins."""
        self._in_flight.stored += 1.0
        return TimedTrace(
            exchange.connection,
            exchange.head,
            request_id=next(self._ids),
            time=self._clock(),
            began=self._monotonic(),
        )

    def outcome(self, trace: Trace, outcome: Outcome) -> None:
        """The end."""
        super().outcome(trace, outcome)
        ctx = trace.ctx
        sampled = ctx is not None and ctx.trace.flags & _SAMPLED
        if not sampled and not self._forces(trace):
            return
        assert isinstance(trace, TimedTrace)  # noqa: S101 - `begin` made it
        now = self._monotonic()
        if ctx is not None:
            index = trace.route.index if trace.route is not None else -1
            self._counters[index].traced(now - trace.began, ctx.trace.trace_id, trace.time)
        self._send(((self._make, ended(trace, outcome, now)),))

    def _forces(self, trace: Trace) -> bool:
        if not self._denials or trace.refused is None or trace.refused.reason.effect not in DENIALS:
            return False
        second = int(trace.time)
        if second != self._second:
            self._second, self._forced = second, 0
        self._forced += 1
        return self._forced <= FORCED_A_SECOND
