"""The record stage: begins a request's trace, records what was decided and how it ended.

A request that was allowed goes on only when its line is with the operating system; a refusal's line is queued and holds
up no answer. Exactly one `decision` a request, and one `outcome` for each that was let through to act.
"""

import time
from collections.abc import Callable, Generator
from os import urandom
from types import coroutine

from gateway.kernel.cells import Metrics
from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.trace import Stage, Trace
from gateway.stages.record.counters import route_counters
from gateway.stages.record.lines import allowed_members, decision_members, facts_text, outcome_members
from gateway.stages.record.log import AuditLog
from gateway.stages.record.promise import Promise
from gateway.stages.record.settings import RecordSettings
from gateway.stages.record.text import quote

_FORWARD = Stage.FORWARD
_ALLOW = Effect.ALLOW.value  # read once: an enum's `value` is a Python call
_IDS = 256  # request ids that one call of the system's generator makes


class RequestIds:
    """Random request ids of 128 bits, as 32 hex digits."""

    __slots__ = ("_pool",)

    def __init__(self) -> None:
        self._pool: list[str] = []

    def take(self) -> str:
        """Another one."""
        pool = self._pool
        if not pool:
            text = urandom(16 * _IDS).hex()
            pool.extend(text[at : at + 32] for at in range(0, 32 * _IDS, 32))
        return pool.pop()


class Record:
    """What `Snapshot.record` is; the log and the metrics are shared with the snapshots before and after."""

    def __init__(
        self,
        settings: RecordSettings,
        log: AuditLog,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._clock = clock
        self._monotonic = monotonic
        self._ids = RequestIds().take
        self._in_flight = metrics.requests_in_flight
        self._counters = route_counters(metrics, tuple(route.name for route in settings.routes))
        self._names = (*(quote(route.name) for route in settings.routes), "null")
        self._inputs = tuple(route.inputs for route in settings.routes)
        self._config = quote(settings.digest)
        nothing = facts_text("null", self._config)  # what no input stands in is the same for every request
        self._facts = (*(nothing if inputs.none else None for inputs in self._inputs), nothing)
        self._refuse_unrecorded = settings.refuse_unrecorded

    def begin(self, exchange: Exchange) -> Trace:
        """A request begins."""
        self._in_flight.stored += 1.0
        return Trace(exchange.connection, exchange.head, self._ids(), self._clock(), self._monotonic())

    @coroutine  # and not `async`: what it waits for is yielded from here, without a generator between
    def decision(self, trace: Trace) -> Generator[Promise, None, None]:
        """Raises Refused(AUDIT_UNAVAILABLE) when an allowed request could not be recorded and must be."""
        refused = trace.refused
        if refused is not None:
            self._refusal(trace, refused)
            return
        permit, shadows = trace.permit, trace.limit_shadows
        if (
            permit is None
            or shadows
            or permit.shadows
            or permit.principal.shadows
            or permit.audited
            or trace.posture is not None
        ):
            index, shadows = trace.route.index if trace.route is not None else -1, trace.shadows
            members = self._members(trace, index, _ALLOW, None)
        else:
            index = permit.route.index
            facts = self._facts[index]
            if facts is None:
                facts = facts_text(self._inputs[index].text(permit.ctx, permit.principal, None), self._config)
            members = allowed_members(trace, permit, self._names[index], facts)
        promise = self._log.write("decision", members, keep=not self._refuse_unrecorded)
        if promise.kept is None:
            yield promise.asked()
        if not promise.kept and self._refuse_unrecorded:
            raise Refused(Reason.AUDIT_UNAVAILABLE, self._log.failure or "the record was not written", retry_after=1)
        self._counters[index].decided(_ALLOW, "", shadows)

    def outcome(self, trace: Trace, outcome: Outcome) -> None:
        """The end: the metrics of every request, and the record of one that was let through."""
        self._in_flight.stored -= 1.0
        duration = self._monotonic() - trace.began
        route, permit = trace.route, trace.permit
        index = -1 if route is None else route.index
        self._counters[index].ended(trace.head.method, outcome, duration)
        # whether it got beyond its decision; a preflight's answer is its decision
        if permit is not None and permit.ctx.preflight is None and (trace.refused is None or trace.stage is _FORWARD):
            self._log.queue("outcome", outcome_members(trace, permit, outcome, duration, self._names[index]))

    def _refusal(self, trace: Trace, refused: Refused) -> None:
        reason = refused.reason
        effect = reason.effect
        index = trace.route.index if trace.route is not None else -1
        self._counters[index].decided(effect.value, reason.code, trace.shadows)
        principal = trace.proved
        # who proved nothing may flood; a caller that proved who it is answers for each of its refusals
        bounded = principal is None or principal.anonymous or effect is Effect.LIMIT
        if bounded and not self._log.admits("decision", reason.code):
            return
        self._log.queue("decision", self._members(trace, index, effect.value, reason.code))

    def _members(self, trace: Trace, index: int, effect: str, reason: str | None) -> str:
        principal = trace.principal if reason is None else trace.proved
        inputs = "null" if index < 0 else self._inputs[index].text(trace.ctx, principal, trace.device)
        return decision_members(trace, effect, reason, self._names[index], facts_text(inputs, self._config))
