"""One made-up request through the stages that serve, and on past the first refusal.

`explain`, policy tests and replay run `pipeline.decide` over this; limits are named and never counted.
What cannot drift from serving is not rebuilt here: accept, route, authenticate and authorize are the serving objects.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import NoReturn

from gateway.config.schema import Config, Route
from gateway.control.build.accept import build_accept
from gateway.control.build.authenticate import authenticate_with
from gateway.control.build.authorize import build_authorize
from gateway.control.build.limits import choose
from gateway.control.build.posture import offline_posture
from gateway.control.build.route import build_routes
from gateway.control.evidence import CannotJudge, CertificateEvidence, TokenEvidence
from gateway.control.feeds.feed import FeedError
from gateway.control.made_up import Url, make_head
from gateway.control.uncounted import NeverCounted
from gateway.model.connection import Connection
from gateway.model.exchange import Exchange
from gateway.model.json import Claims
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.place import Place
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestContext, RequestHead
from gateway.model.route import Route as MatchedRoute
from gateway.model.shadow import Shadow
from gateway.model.trace import Stage, Trace
from gateway.pipeline import decide
from gateway.snapshot import Snapshot
from gateway.stages.authorize import Action, Judged, Rule

DECIDING = tuple(stage for stage in Stage if stage not in (Stage.RECORD, Stage.FORWARD))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one request, and why."""

    effect: Effect
    status: int | None  # None: the backend's own
    refused: Refused | None
    trace: Trace
    principal: Principal | None  # as it was proved, else as it was presented; None before a route is known
    rule: str | None
    where: Place | None
    judged: tuple[Judged, ...]  # every rule that stands over the route
    shadows: tuple[Shadow, ...]
    audited: tuple[str, ...]
    at_handshake: bool = False  # a client sees a closed connection, and no answer

    @property
    def reason(self) -> Reason | None:
        """None for what is allowed."""
        return None if self.refused is None else self.refused.reason

    @property
    def route(self) -> str | None:
        """The name of the route; None where none matched."""
        route = self.trace.route
        return route.name if route is not None and route.index >= 0 else None

    @property
    def nearest(self) -> list[Judged]:
        """On a deny, the ALLOW rules that failed in the fewest clauses."""
        if self.effect is not Effect.DENY:
            return []
        misses = [judged for judged in self.judged if _grants(judged) and judged.missing]
        fewest = min((len(judged.missing) for judged in misses), default=0)
        return [judged for judged in misses if len(judged.missing) == fewest]


def _grants(judged: Judged) -> bool:
    return judged.rule.action is Action.ALLOW and not judged.rule.shadow


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route that may take a request, and the request as it was accepted."""

    ctx: RequestContext
    route: MatchedRoute


class Offline:
    """The deciding stages of one config, without its clients, stores and backends."""

    def __init__(self, config: Config) -> None:
        """Raises OSError or ValueError for a certificate that cannot be read."""
        self.config = config
        self._accept = build_accept(config)
        self._routes = build_routes(config)
        self._authorize = build_authorize(config)

    def route_of(self, connection: Connection, head: RequestHead, now: float) -> Route | None:
        """The route of the file that would take the request; None where none does."""
        trace = Trace(connection, head, request_id="offline", time=now, began=0.0)
        try:
            index = self._routes(self._accept(trace)).index
        except Refused:
            return None
        return self.config.routes[index] if index >= 0 else None

    def rules_of(self, route: MatchedRoute, listener: str) -> tuple[Rule, ...]:
        """The compiled rules that stand over a route on a listener, in file order, those of policies first."""
        return self._authorize.rules(route, listener)

    def candidates(self, connection: Connection, method: str, url: Url, now: float) -> list[Candidate]:
        """Every route that may take such a request, by the headers that it may carry; the last asks for none.

        Raises Refused where no route is asked at all.
        """
        found = []
        for index, route in enumerate(self.config.routes):
            if route.match.headers:
                samples = [(name, pattern.replace("*", "x")) for name, pattern in route.match.headers.items()]
                candidate = self._candidate(connection, make_head(method, url, samples), now)
                if candidate.route.index == index:
                    found.append(candidate)
        return [*found, self._candidate(connection, make_head(method, url, ()), now)]

    def _candidate(self, connection: Connection, head: RequestHead, now: float) -> Candidate:
        ctx = self._accept(Trace(connection, head, request_id="offline", time=now, began=0.0))
        return Candidate(ctx, self._routes(ctx))

    async def judge(
        self,
        connection: Connection,
        head: RequestHead,
        now: float,
        token: TokenEvidence,
        certificate: CertificateEvidence,
        device: Claims | None = None,
    ) -> Verdict:
        """Decide as serving would; then judge the rules, whether they were reached or not.

        `device`: facts about the caller's device, taken as known. Raises CannotJudge.
        """
        trace = Trace(connection, head, request_id="offline", time=now, began=0.0)
        snapshot = self._snapshot(token, certificate, device)
        closed = handshake(self.config, connection, certificate, now)
        try:
            trace.ctx = snapshot.accept(trace)
            if closed is None:
                trace.permit = await decide(trace.ctx, snapshot, trace)
            else:
                trace.route = snapshot.route(trace.ctx)  # for the rules, which are judged all the same
        except Refused as refused:
            trace.refused = refused
        trace.refused = closed or trace.refused
        principal = trace.principal
        judged: list[Judged] = []
        ctx, route = trace.ctx, trace.route
        if ctx is not None and route is not None and route.index >= 0:
            principal = principal or Principal(certificate.presented, token.presented, ctx.client_ip)
            if ctx.preflight is None:
                judged = self._authorize.judge(ctx, route, principal, trace.device)
        return self._verdict(trace, principal, tuple(judged), at_handshake=closed is not None)

    def _verdict(
        self, trace: Trace, principal: Principal | None, judged: tuple[Judged, ...], *, at_handshake: bool
    ) -> Verdict:
        refused, permit = trace.refused, trace.permit
        if refused is not None:
            where = refused.where or (trace.route.where if trace.route is not None else None)
            return Verdict(
                refused.reason.effect, refused.reason.status, refused, trace, principal, refused.rule, where, judged,
                trace.shadows, refused.audited, at_handshake,
            )  # fmt: skip
        assert permit is not None  # noqa: S101 - decide gives one or refuses
        return Verdict(
            Effect.ALLOW, self._status(permit), None, trace, principal, permit.rule, permit.where, judged,
            trace.shadows, permit.audited,
        )  # fmt: skip

    def _status(self, permit: Permit) -> int | None:
        if permit.ctx.preflight is not None:
            return 204
        route = self.config.routes[permit.route.index]
        if route.respond is not None:
            return route.respond.status
        return route.redirect.status if route.redirect is not None else None

    def _snapshot(self, token: TokenEvidence, certificate: CertificateEvidence, device: Claims | None) -> Snapshot:
        unserved = Unserved()
        try:
            posture = offline_posture(self.config, device)
        except FeedError as error:
            raise CannotJudge(str(error)) from None
        return Snapshot(
            digest=self.config.digest,
            accept=self._accept,
            route=self._routes,
            ratelimit=NeverCounted(),
            authenticate=authenticate_with(self.config, token.verifier, certificate.judge),
            posture=posture,
            authorize=self._authorize,
            record=unserved,
            answer=unserved,
            forward=unserved,
        )

    def limits(self, trace: Trace, principal: Principal | None, *, by_address: bool) -> list[str]:
        """The limits at one of the two gates, each with the numbers that this caller is given."""
        config, route = self.config, trace.route
        uses = dict.fromkeys(config.listeners[trace.connection.listener].rate_limits, 1)
        if route is not None and route.index >= 0:
            uses |= {use.limit: use.cost for use in config.routes[route.index].rate_limits}
        found = []
        for name, cost in uses.items():
            limit = config.rate_limits[name]
            if limit.by_address is by_address:
                which = choose(limit)(trace.ctx, principal) if trace.ctx is not None else -1
                told = [limit.numbers_of(which), *([f"override {which}"] if which >= 0 else [])]
                told += [f"costs {cost}"] if cost > 1 else []
                told += ["shadow"] if limit.mode == "shadow" else []
                found.append(f"{name} ({', '.join(told)}, not counted)")
        return found


def handshake(config: Config, connection: Connection, certificate: CertificateEvidence, now: float) -> Refused | None:
    """What TLS itself refuses, before there is a request (contract section 5)."""
    tls, settings = connection.tls, config.listeners[connection.listener].tls
    if tls is None or settings is None:
        return None
    if not tls.chain:
        if settings.client_certificate != "required":
            return None
        return Refused(Reason.CERTIFICATE_REQUIRED, "the listener requires a client certificate")
    if certificate.closed:
        try:
            certificate.judge.judge(tls.chain, now)
        except Refused as refused:
            return refused
    return None


class Unserved:
    """What stands behind a decision: nothing that is judged offline gets so far."""

    def _refuse(self) -> NoReturn:
        raise RuntimeError("a request that is judged offline is neither recorded nor answered")

    def begin(self, exchange: Exchange) -> Trace:
        self._refuse()

    def decision(self, trace: Trace) -> Awaitable[None]:
        self._refuse()

    def refusal(self, trace: Trace, refused: Refused) -> None:
        self._refuse()

    def outcome(self, trace: Trace, outcome: Outcome) -> None:
        self._refuse()

    def headers(self, trace: Trace) -> RawHeaders:
        self._refuse()

    def refuse(self, exchange: Exchange, trace: Trace, refused: Refused) -> Awaitable[Outcome]:
        self._refuse()

    def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Awaitable[Outcome]:
        self._refuse()
