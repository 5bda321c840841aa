"""The spans of a request: a server span, a child for each stage, an event for a denial.

On the loop a request leaves a few references behind; the spans are made of them in the exporter's thread. No token,
query string or header comes in. Names are those of OpenTelemetry's conventions; `gateway.*` and `security.*` are ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import urandom
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from gateway.kernel.export import CLIENT, INTERNAL, SERVER, Span, SpanEvent
from gateway.kernel.patterns.blocks import address_text
from gateway.model.connection import Connection
from gateway.model.methods import KNOWN_METHODS
from gateway.model.outcome import Outcome
from gateway.model.reason import Effect, Reason
from gateway.model.request import RequestHead, TraceContext
from gateway.model.trace import Stage, Trace
from gateway.stages.record.lines import LONGEST_PATH

SECURITY_EVENT = "security.event"
DENIALS: Final = frozenset({Effect.DENY, Effect.CHALLENGE, Effect.LIMIT, Effect.REFUSE})
_LOCAL, _REMOTE = 0x100, 0x300  # span flags of OTLP: whether the parent is in another process is known, and is so
_FORWARD = Stage.FORWARD


class TimedTrace(Trace):
    """A trace that notes when each stage began."""

    __slots__ = ("_stage", "marks")

    def __init__(self, connection: Connection, head: RequestHead, request_id: str, time: float, began: float) -> None:
        self.marks: list[tuple[Stage, float]] = []
        super().__init__(connection, head, request_id, time, began)
        self.marks[0] = self._stage, began

    @property
    def stage(self) -> Stage:
        """The stage that the request is at."""
        return self._stage

    @stage.setter
    def stage(self, stage: Stage) -> None:
        self._stage = stage
        self.marks.append((stage, monotonic()))


@dataclass(frozen=True, slots=True)
class Ended:
    """What is kept of a request until its spans are made."""

    context: TraceContext
    time: float  # seconds since the epoch
    marks: list[tuple[Stage, float]]
    ended: float  # monotonic, as the marks are
    request_id: str
    connection: Connection
    method: str
    version: str
    scheme: str | None
    host: str | None
    port: int | None
    path: str | None
    client: str
    route: int  # its index; -1 without one
    outcome: Outcome
    refused: Reason | None
    rule: str | None
    caller: str | None


def ended(trace: TimedTrace, outcome: Outcome, now: float) -> Ended:
    """`now`: the monotonic clock."""
    ctx, refused, permit, principal = trace.ctx, trace.refused, trace.permit, trace.proved
    last = refused if refused is not None else permit
    return Ended(
        # where even the head was bad the trace begins here, named like the request
        ctx.trace if ctx is not None else TraceContext(trace.request_id, None, "", 0, ""),
        trace.time,
        trace.marks,
        now,
        trace.request_id,
        trace.connection,
        trace.head.method,
        trace.head.version,
        ctx.scheme if ctx is not None else None,
        ctx.host if ctx is not None else None,
        ctx.port if ctx is not None else None,
        ctx.path[:LONGEST_PATH] if ctx is not None else None,
        address_text(ctx.client_ip if ctx is not None else trace.connection.peer_ip),
        trace.route.index if trace.route is not None else -1,
        outcome,
        refused.reason if refused is not None else None,
        last.rule if last is not None else None,
        principal.caller if principal is not None else None,
    )


class SpanMaker:
    """Makes the spans of one snapshot's requests."""

    def __init__(self, names: tuple[str, ...], patterns: tuple[str | None, ...], pseudonym: Callable[[str], str]):
        """By route index: its name, and its path pattern where it has one. `pseudonym` hides who a caller is."""
        self._names = names
        self._patterns = patterns
        self._pseudonym = pseudonym

    def __call__(self, of: Ended) -> Iterator[Span]:
        """The server span and its children."""
        context, began = of.context, of.marks[0][1]
        start = int(of.time * 1e9)
        server = urandom(8).hex()
        times = [start + int((at - began) * 1e9) for _, at in of.marks] + [start + int((of.ended - began) * 1e9)]
        yield Span(
            context.trace_id,
            server,
            context.parent_id,
            self._name(of),
            SERVER,
            times[0],
            times[-1],
            self._of_request(of),
            self._events(of, times),
            failed=of.outcome.status >= 500,
            state=context.state,
            flags=context.flags | (_REMOTE if context.parent_id is not None else _LOCAL),
        )
        for index, (stage, _) in enumerate(of.marks):
            forwards = stage is _FORWARD
            yield Span(
                context.trace_id,
                # the backend was told the id of the span that called it
                context.span_id if forwards else urandom(8).hex(),
                server,
                stage.value,
                CLIENT if forwards and of.outcome.upstream is not None else INTERNAL,
                times[index],
                times[index + 1],
                _of_stage(of, forwards=forwards, last=index == len(of.marks) - 1),
                failed=forwards and (of.outcome.status >= 400 if of.refused is None else of.refused.status >= 400),
                state=context.state,
                flags=context.flags | _LOCAL,
            )

    def _name(self, of: Ended) -> str:
        method = of.method if of.method in KNOWN_METHODS else "HTTP"
        if of.route < 0:
            return method
        return f"{method} {self._patterns[of.route] or self._names[of.route]}"

    def _of_request(self, of: Ended) -> dict[str, str | int]:
        known = of.method in KNOWN_METHODS
        found: dict[str, str | int] = {
            "http.request.method": of.method if known else "_OTHER",
            "client.address": of.client,
            "network.peer.address": address_text(of.connection.peer_ip),
            "network.peer.port": of.connection.peer_port,
            "network.protocol.name": "http",
            "network.protocol.version": of.version,
            "gateway.request_id": of.request_id,
            "gateway.listener": of.connection.listener,
        }
        if not known:
            found["http.request.method_original"] = of.method[:32]
        if of.host is not None and of.path is not None and of.scheme is not None:
            found |= {"server.address": of.host, "url.scheme": of.scheme, "url.path": of.path}
        if of.port is not None:
            found["server.port"] = of.port
        if of.route >= 0:
            found["gateway.route"] = self._names[of.route]
            if (pattern := self._patterns[of.route]) is not None:
                found["http.route"] = pattern
        if of.outcome.status:
            found["http.response.status_code"] = of.outcome.status
        if (error := _error(of)) is not None:
            found["error.type"] = error
        if of.rule is not None:
            found["security_rule.name"] = of.rule
        return found

    def _events(self, of: Ended, times: list[int]) -> tuple[SpanEvent, ...]:
        reason = of.refused
        if reason is None or reason.effect not in DENIALS:
            return ()
        said: dict[str, str | int] = {"security.decision": reason.effect.value, "security.reason": reason.code}
        if of.rule is not None:
            said["security.rule"] = of.rule
        if of.caller is not None:
            said["security.principal_hash"] = self._pseudonym(of.caller)
        return (SpanEvent(SECURITY_EVENT, times[-1], said),)


def _of_stage(of: Ended, *, forwards: bool, last: bool) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    outcome = of.outcome
    if forwards and outcome.upstream is not None:
        found |= {"http.request.method": of.method, "gateway.upstream": outcome.upstream}
        if outcome.status:
            found["http.response.status_code"] = outcome.status
        if outcome.endpoint is not None:
            endpoint = urlsplit(outcome.endpoint)
            found |= {"server.address": endpoint.hostname or "", "server.port": endpoint.port or 443}
    if last and of.refused is not None:
        found["error.type"] = of.refused.code
    return found


def _error(of: Ended) -> str | None:
    """The semantic conventions' `error.type` of a server span: only where the server failed."""
    if of.refused is not None and of.refused.effect is Effect.ERROR:
        return of.refused.code
    reason = of.outcome.reason
    if reason is not None and (reason.status == 0 or reason.status >= 500):
        return reason.code
    return str(of.outcome.status) if of.outcome.status >= 500 else None
