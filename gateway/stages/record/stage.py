"""The record stage: begins a request's trace, records what was decided and how it ended.

A request that was allowed goes on only when its line is with the operating system; a refusal's line is queued and holds
up no answer. Exactly one `decision` a request, and one `outcome` for each that was let through to act.
"""

import time
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from os import urandom
from types import coroutine

from gateway.kernel.cells import Metrics
from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.shadow import Shadow
from gateway.model.trace import Stage, Trace
from gateway.stages.record.counters import SHORT, route_counters
from gateway.stages.record.lines import (
    BEYOND,
    NUMBERS,
    PARTS,
    allowed_members,
    decision_members,
    ending,
    facts_text,
    ids_text,
)
from gateway.stages.record.log import AuditLog
from gateway.stages.record.promise import Promise
from gateway.stages.record.settings import RecordSettings
from gateway.stages.record.text import quote

_FORWARD, _LIMIT = Stage.FORWARD, Effect.LIMIT
_ALLOW = Effect.ALLOW.value  # read once: an enum's `value` is a Python call
_EFFECTS = {reason: reason.effect.value for reason in Reason}
_CUTS = [slice(at, at + 32) for at in range(0, 32 * 256, 32)]  # the ids that one call of the system's generator makes
_LONGEST_KEPT = 768  # characters of a text that is kept with a head


def request_ids() -> Iterator[str]:
    """Random request ids of 128 bits, as 32 hex digits, without end."""
    return chain.from_iterable(_some_ids())  # that `next` of it runs no step of ours but for each 256th


def _some_ids() -> Iterator[Iterator[str]]:
    while True:
        yield map(urandom(16 * len(_CUTS)).hex().__getitem__, _CUTS)


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
        self._ids = request_ids()
        self._mark = object()  # of what is kept with a head: it may outlive this stage, and holds nothing
        self._marks = {reason: object() for reason in Reason}  # the same, of refusals
        self._in_flight = metrics.requests_in_flight
        self._counters = route_counters(metrics, tuple(route.name for route in settings.routes))
        self._names = (*(quote(route.name) for route in settings.routes), "null")
        self._routed = tuple(f',"route":{name}' for name in self._names)
        self._inputs = tuple(route.inputs for route in settings.routes)
        self._config = quote(settings.digest)
        nothing = facts_text("null", self._config)  # what no input stands in is the same for every request
        self._facts = (*(nothing if inputs.none else None for inputs in self._inputs), nothing)
        self._refuse_unrecorded = settings.refuse_unrecorded

    def begin(self, exchange: Exchange) -> Trace:
        """A request begins."""
        self._in_flight.stored += 1.0
        return Trace(exchange.connection, exchange.head, next(self._ids), self._clock(), self._monotonic())

    @coroutine  # and not `async`: what it waits for is yielded from here, without a generator between
    def decision(self, trace: Trace) -> Generator[Promise, None, None]:
        """Raises Refused(AUDIT_UNAVAILABLE) when an allowed request could not be recorded and must be."""
        ctx, permit, shadows = trace.ctx, trace.permit, trace.limit_shadows
        if (
            ctx is None
            or permit is None
            or shadows
            or permit.shadows
            or permit.principal.shadows
            or permit.audited
            or trace.posture is not None
        ):
            index, shadows = trace.route.index if trace.route is not None else -1, trace.shadows
            ids, members = ids_text(trace), self._members(trace, index, _ALLOW, None)
        else:
            ids = (
                f',"request_id":"{trace.request_id}","trace_id":"{ctx.trace.trace_id}"'  # `ids_text`, without the call
            )
            route, principal, again = permit.route, permit.principal, ctx.head.again
            index, user, workload = route.index, principal.user, principal.workload
            key = None if user is None else user.key  # an object of this user's alone: who keeps it keeps no claims
            name = None if workload is None else workload.id
            members = ""
            if again is not None and again.told is not None:
                mark, read, to, rule, who, what, client, text = again.told
                if (
                    mark is self._mark
                    and read is again.read  # host, path and fields
                    and to is route
                    and rule is permit.rule
                    and who is key
                    and what is name
                    and client is ctx.client_ip
                ):
                    members = text
            if not members:
                members = self._allowed(permit, key, name)
        if ctx is None or ctx.preflight is None:  # a preflight's answer is its decision
            trace.ids = ids
        log = self._log
        turn, promise = log.turn, log.promise
        if turn is None or promise is None:
            promise = log.write("decision", members, not self._refuse_unrecorded, ids)
        else:
            turn.add(("decision", turn.at, ids, members, not self._refuse_unrecorded))
        if promise.kept is None:
            promise._asyncio_future_blocking = True  # noqa: SLF001 - its `asked`, without the call
            yield promise
        if not promise.kept and self._refuse_unrecorded:
            raise Refused(Reason.AUDIT_UNAVAILABLE, log.failure or "the record was not written", retry_after=1)
        counters = self._counters[index]
        if shadows or counters.allowed is None:
            counters.decided(_ALLOW, "", shadows)
        else:
            counters.allowed.value += 1.0

    def outcome(self, trace: Trace, outcome: Outcome) -> None:
        """The end: the metrics of every request, and the record of one that was let through."""
        self._in_flight.stored -= 1.0
        duration = self._monotonic() - trace.began
        micros = int(duration * 1e6 + 0.5)  # written as two whole numbers: half the time of a float's text
        if micros < 0:
            micros = 0
        millis, part = micros // 1000, micros % 1000
        route, ids = trace.route, trace.ids
        index = -1 if route is None else route.index
        self._counters[index].ended(trace.head.method, outcome, duration, millis if part and millis < SHORT else None)
        if ids is None or (trace.refused is not None and trace.stage is not _FORWARD):
            return  # it did not get beyond its decision
        before, behind = outcome.written or ending(outcome)
        members = f"{self._routed[index]}{before}{NUMBERS[millis] if millis < BEYOND else millis}{PARTS[part]}{behind}"
        turn = self._log.turn
        if turn is None:
            self._log.queue("outcome", members, ids)
        else:
            turn.add(("outcome", turn.at, ids, members, True))

    def _allowed(self, permit: Permit, key: tuple[str, str] | None, workload: str | None) -> str:
        """The members behind the ids where nothing more than a rule allowed it; kept with a head that comes again."""
        ctx, route = permit.ctx, permit.route
        index, again = route.index, ctx.head.again
        facts = self._facts[index]
        if facts is None:
            facts = facts_text(self._inputs[index].text(ctx, permit.principal, None), self._config)
        text = allowed_members(permit, self._names[index], facts)
        if again is not None and len(text) <= _LONGEST_KEPT:
            again.told = self._mark, again.read, route, permit.rule, key, workload, ctx.client_ip, text
        return text

    def refusal(self, trace: Trace, refused: Refused) -> None:
        """See gateway.snapshot.RecordStage."""
        reason, route, principal = refused.reason, trace.route, trace.principal
        code, effect = reason.code, _EFFECTS[reason]
        index = -1 if route is None else route.index
        shadows: tuple[Shadow, ...] = ()
        if (
            refused.shadows
            or trace.limit_shadows
            or trace.posture is not None
            or (principal is not None and principal.shadows)
        ):
            shadows = trace.shadows
        if principal is None:
            principal = refused.principal  # as `trace.proved` says it
        self._counters[index].decided(effect, code, shadows)
        # who proved nothing may flood; a caller that proved who it is answers for each of its refusals
        bounded = principal is None or principal.anonymous or reason.effect is _LIMIT
        if bounded and not self._log.admits("decision", code):
            return
        ctx = trace.ctx
        if ctx is None or shadows or refused.audited or trace.posture is not None or refused.posture is not None:
            members = self._members(trace, index, effect, code)
        else:
            members = self._repeated(ctx, trace, refused, principal)
        turn, ids = self._log.turn, ids_text(trace)
        if turn is None:
            self._log.queue("decision", members, ids)
        else:
            turn.add(("decision", turn.at, ids, members, True))

    def _repeated(self, ctx: RequestContext, trace: Trace, refused: Refused, principal: Principal | None) -> str:
        """The members behind the ids of a refusal with nothing to tell besides; kept as those of a permit are."""
        route, again, rule = trace.route, ctx.head.again, refused.rule
        index = -1 if route is None else route.index
        effect, code = _EFFECTS[refused.reason], refused.reason.code
        if again is None or route is None:
            return self._members(trace, index, effect, code)
        user, workload = (None, None) if principal is None else (principal.user, principal.workload)
        key = None if user is None else user.key
        name = None if workload is None else workload.id
        mark = self._marks[refused.reason]
        if again.told is not None:
            kept, read, to, by, who, what, client, text = again.told
            if (
                kept is mark
                and read is again.read
                and to is route
                and by is rule
                and who is key
                and what is name
                and client is ctx.client_ip
            ):
                return text
        text = self._members(trace, index, effect, code)
        if len(text) <= _LONGEST_KEPT:
            again.told = mark, again.read, route, rule, key, name, ctx.client_ip, text
        return text

    def _members(self, trace: Trace, index: int, effect: str, reason: str | None) -> str:
        principal = trace.principal if reason is None else trace.proved
        inputs = "null" if index < 0 else self._inputs[index].text(trace.ctx, principal, trace.device)
        return decision_members(trace, effect, reason, self._names[index], facts_text(inputs, self._config))
