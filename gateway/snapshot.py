"""All that one request may consult: immutable, swapped whole at a reload.

A request keeps the snapshot that it began with. The stages are named here by what the pipeline asks of them, so that
explain, test and replay run the same pipeline over stages whose evidence is made up instead of proved. A stage that
rarely waits returns what it found, or an awaitable of it: a coroutine costs more than most of what they do.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from gateway.model.exchange import Exchange
from gateway.model.limit import LimitStatus
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestContext
from gateway.model.route import Route
from gateway.model.trace import Trace


class AcceptStage(Protocol):
    """Head and connection facts into the one form that is judged."""

    def __call__(self, trace: Trace) -> RequestContext:
        """Raises Refused: 400, 414, 417, 421, 431, 508, or the head's own fault."""
        ...

    def body(self, ctx: RequestContext, route: Route) -> None:
        """Raises Refused(BODY_TOO_LARGE) when the declared length is over the route's `max_body`."""
        ...


class RouteStage(Protocol):
    """Which route takes it. Never raises: a miss is a Route with a `refusal`, so that its flood can be limited."""

    def __call__(self, ctx: RequestContext) -> Route: ...


class RateLimitStage(Protocol):
    """The gates ahead of and behind authentication. What they return is what the caller may be told.

    `trace` is told of limits in shadow; nothing is judged by it.
    """

    def by_address(
        self, ctx: RequestContext, route: Route, trace: Trace
    ) -> list[LimitStatus] | Awaitable[list[LimitStatus]]:
        """Limits that need no identity. Raises Refused(RATE_LIMITED | STORE_UNAVAILABLE)."""
        ...

    def failed_credential(self, ctx: RequestContext, route: Route, trace: Trace) -> Awaitable[None]:
        """Charge a credential that did not hold to the address; never raises."""
        ...

    def by_caller(
        self, ctx: RequestContext, route: Route, principal: Principal, trace: Trace
    ) -> list[LimitStatus] | Awaitable[list[LimitStatus]]:
        """Limits by identity. Raises Refused(RATE_LIMITED | STORE_UNAVAILABLE)."""
        ...


class AuthenticateStage(Protocol):
    """Credentials into a proved principal."""

    def __call__(self, ctx: RequestContext, route: Route) -> Principal | Awaitable[Principal]:
        """Raises Refused: 401, or 503 where a dependency cannot answer."""
        ...


class PostureStage(Protocol):
    """What is known of the caller's device; None where the route does not ask."""

    def __call__(
        self, ctx: RequestContext, route: Route, principal: Principal
    ) -> Posture | Awaitable[Posture | None] | None: ...


class AuthorizeStage(Protocol):
    """The rules. Pure: same facts, same answer. The only maker of permits."""

    def __call__(self, ctx: RequestContext, route: Route, principal: Principal, posture: Posture | None) -> Permit:
        """Raises Refused(DENIED_BY_RULE | NO_RULE_ALLOWS | SCOPE_MISSING), naming the rule."""
        ...

    def preflight(self, ctx: RequestContext, route: Route) -> Permit:
        """A CORS preflight against the route's own `cors`. Raises Refused(CORS_REFUSED)."""
        ...

    def own(self, ctx: RequestContext, route: Route) -> Permit:
        """An address of the gateway's own, which is for everybody. Raises Refused(CORS_REFUSED) for a preflight."""
        ...


class RecordStage(Protocol):
    """Every decision and outcome, to the audit log, metrics and spans."""

    def begin(self, exchange: Exchange) -> Trace: ...

    def decision(self, trace: Trace) -> Awaitable[None]:
        """Returns when the line is with the operating system. Raises Refused(AUDIT_UNAVAILABLE)."""
        ...

    def refusal(self, trace: Trace, refused: Refused) -> None:
        """The decision where it is a refusal: its line is queued and does not hold up the answer. Raises Refused."""
        ...

    def outcome(self, trace: Trace, outcome: Outcome) -> None:
        """The end of a request; of a refused one only the metrics."""
        ...


class AnswerStage(Protocol):
    """What the gateway itself says to the client."""

    def headers(self, trace: Trace) -> RawHeaders:
        """The fields that stand on every answer: X-Request-Id, RateLimit, CORS."""
        ...

    def refuse(self, exchange: Exchange, trace: Trace, refused: Refused) -> Outcome | Awaitable[Outcome]:
        """Answer a refusal as a problem document (RFC 9457), HTML or gRPC status. Raises ClientGone."""
        ...


class ForwardStage(Protocol):
    """Acts on a permit: the backend's answer, or the route's own (`respond`, `redirect`, a preflight)."""

    def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Awaitable[Outcome]:
        """Raises Refused while no head was sent; afterwards breaks the answer off and says why in the Outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One configuration at work."""

    digest: str  # of the config file, hex: audit records and metrics name it
    accept: AcceptStage
    route: RouteStage
    ratelimit: RateLimitStage
    authenticate: AuthenticateStage
    posture: PostureStage | None  # None: no route asks
    authorize: AuthorizeStage
    record: RecordStage
    answer: AnswerStage
    forward: ForwardStage

    def __repr__(self) -> str:
        return f"Snapshot({self.digest[:12]})"
