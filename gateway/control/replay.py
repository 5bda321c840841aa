"""Recorded decisions judged again under a config: what flips, and what hangs on something that was not recorded.

The stages that serve judge; credentials are taken as proved, as they were then, and limits are never counted.
What a record does not show is never guessed: an answer stands only where it is the same whatever was not shown.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config.schema import Config, Listener
from gateway.control.build.accept import build_accept
from gateway.control.build.authenticate import authenticate_with
from gateway.control.build.authorize import build_authorize
from gateway.control.build.route import build_routes
from gateway.control.moments import moments
from gateway.control.offline import Unserved, handshake
from gateway.control.recorded import Recorded, RecordedDevice, Sources, Who
from gateway.control.records import Decision, InputNames, decisions, input_names
from gateway.control.uncounted import NeverCounted
from gateway.control.unsure import Need, Undecidable, any_of, holds, needs_of
from gateway.model.permit import Permit
from gateway.model.place import Place
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.model.trace import Trace
from gateway.pipeline import decide
from gateway.snapshot import Snapshot
from gateway.stages.authorize import Action, Authorize, Facts, Rule
from gateway.stages.authorize.attributes import scopes

_ALLOW = Effect.ALLOW.value
_REMEMBERED = 65536  # answers
_CLAIM_OF = {"audiences": "aud", "acr": "acr", "max_auth_age": "auth_time"}  # what credentials are judged by


@dataclass(frozen=True, slots=True)
class Answer:
    """What a config says to a recorded request."""

    effect: str
    reason: str | None
    route: str | None
    rule: str | None
    where: Place | None

    @property
    def allowed(self) -> bool:
        """True for the effect allow."""
        return self.effect == _ALLOW


class Replay:
    """One config at work on recorded requests."""

    def __init__(self, config: Config, names: InputNames) -> None:
        """`names`: what the records are known to show. Raises OSError or ValueError for an unreadable certificate."""
        self.sources = Sources(config, names)
        self._config = config
        self._serving = [listener for listener in config.listeners.values() if listener.redirect is None]
        self._accept = build_accept(config)
        self._routes = build_routes(config)
        self._who = Who()
        self._fixed = _Fixed()
        self._device = RecordedDevice(config)
        self._authorize = _Unsure(config, build_authorize(config))
        self._chosen_by = {name for route in config.routes for name in route.match.headers}
        self._known: dict[object, Answer | str] = {}
        self._moment = moments(config)
        unserved = Unserved()
        self._snapshot = Snapshot(
            digest=config.digest,
            accept=self._accept,
            route=self._fixed,
            ratelimit=NeverCounted(),
            authenticate=authenticate_with(config, self._who if config.issuers else None, self._who),
            posture=self._device,
            authorize=self._authorize,
            record=unserved,
            answer=unserved,
            forward=unserved,
        )

    async def judge(self, decision: Decision) -> Answer:
        """What the config says now. Raises Undecidable."""
        moment = self._moment(decision.time)
        if moment is None:
            return await self._judge(decision)
        key = (
            decision.listener, decision.route, decision.effect, decision.reason, decision.issuer, decision.subject,
            decision.workload, decision.client_ip, decision.method, decision.host, decision.path, decision.config,
            str(decision.inputs) if decision.inputs else "", moment,
        )  # fmt: skip
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            try:
                known = await self._judge(decision)
            except Undecidable as why:
                known = str(why)
            self._known[key] = known
        if isinstance(known, str):
            raise Undecidable(known)
        return known

    async def _judge(self, decision: Decision) -> Answer:
        if decision.effect == Effect.REFUSE:
            raise Undecidable("the bytes that it was refused for are not recorded")
        if decision.cut:
            raise Undecidable("the path was cut when it was recorded")
        recorded = Recorded(self.sources, decision)
        answers = [await self._on(listener, recorded) for listener in self.listeners(decision)]
        return _agreed(answers, "the listener is not recorded")

    def listeners(self, decision: Decision) -> Sequence[Listener]:
        """The recorded listener, where it still serves; else those on which it may have come."""
        named = self._config.listeners.get(decision.listener or "")
        if named is not None and named.redirect is None:
            return (named,)
        of_route = {
            name for route in self._config.routes if route.name == decision.route for name in route.match.listeners
        }
        return [listener for listener in self._serving if listener.name in of_route] or self._serving

    async def _on(self, listener: Listener, recorded: Recorded) -> Answer:
        now = recorded.decision.time
        connection = self.sources.connection(listener, recorded)
        closed = handshake(self._config, connection, recorded.certificate, now)
        if closed is not None and not recorded.unproved:
            return _refused(closed, None)
        trace = Trace(connection, recorded.head(listener), request_id="replay", time=now, began=0.0)
        try:
            ctx = trace.ctx = self._accept(trace)
        except Refused as refused:
            return _refused(refused, None)
        answers = [await self._at(ctx, route, listener, recorded, trace) for route in self._candidates(ctx, recorded)]
        return _agreed(answers, "the headers that choose the route are not recorded")

    def _candidates(self, ctx: RequestContext, recorded: Recorded) -> list[Route]:
        """The route that takes it; where headers choose that are not known, every route that may."""
        found = [self._routes(ctx)]
        unknown = {
            name
            for name in self._chosen_by
            if not recorded.shows(Need("header", name), self._config.listeners[ctx.connection.listener])
        }
        for index, route in enumerate(self._config.routes) if unknown else ():
            asked = {name: (text.replace("*", "x"),) for name, text in route.match.headers.items() if name in unknown}
            if asked:
                ctx.values.update(asked)
                candidate = self._routes(ctx)
                for name in asked:
                    del ctx.values[name]
                if candidate.index == index and candidate not in found:
                    found.append(candidate)
        return found

    async def _at(
        self, ctx: RequestContext, route: Route, listener: Listener, recorded: Recorded, trace: Trace
    ) -> Answer:
        if route.refusal is not None:
            return _refused(Refused(route.refusal), None)
        if route.index < 0:
            return Answer(Effect.ALLOW.value, None, route.name, None, None)
        settled = self._settled(route, listener, recorded)
        if settled is not None:
            return settled
        self._fixed.route = route
        self._who.recorded = recorded
        self._device.recorded = recorded
        self._authorize.recorded = recorded
        try:
            permit = await decide(ctx, self._snapshot, trace)
        except Refused as refused:
            return _refused(refused, route)
        decision = recorded.decision
        limited = bool(listener.rate_limits or self._config.routes[route.index].rate_limits)
        if decision.effect == Effect.LIMIT and limited:
            raise Undecidable("how much of its limits the caller had left is not recorded")
        if decision.effect == Effect.ERROR:
            raise Undecidable("whether what failed then would fail again is not known")
        return Answer(_ALLOW, None, route.name, permit.rule, permit.where)

    def _settled(self, route: Route, listener: Listener, recorded: Recorded) -> Answer | None:
        """What can be said before the caller is judged. Raises Undecidable."""
        settings = self._config.routes[route.index]
        requires = settings.requires
        if recorded.maybe_preflight:
            raise Undecidable("whether it was a preflight, and of which origin, is not recorded")
        if settings.public and settings.ignore_credentials:
            return None
        if recorded.unproved:
            demanded = listener.tls is not None and listener.tls.client_certificate == "required"
            bare = recorded.decision.reason == Reason.CERTIFICATE_REQUIRED.code
            if bare and (demanded or (requires is not None and requires.certificate)):
                return _refused(Refused(Reason.CERTIFICATE_REQUIRED), route)
            raise Undecidable("whose credentials were sent is not recorded")
        if requires is not None and recorded.decision.subject is not None:
            for key in requires.asked():
                claim = _CLAIM_OF.get(key)
                if claim is not None and not recorded.shows(need := Need("claim", claim, (claim,)), listener):
                    raise Undecidable(f"{need} is not recorded")
        return None


def _refused(refused: Refused, route: Route | None) -> Answer:
    where = refused.where or (route.where if route is not None else None)
    name = route.name if route is not None else None
    return Answer(refused.reason.effect.value, refused.reason.code, name, refused.rule, where)


def _agreed(answers: Sequence[Answer], otherwise: str) -> Answer:
    if len({answer.allowed for answer in answers}) > 1:
        raise Undecidable(otherwise)
    return answers[0]


class _Fixed:
    """The route that was chosen already."""

    route: Route

    def __call__(self, ctx: RequestContext) -> Route:
        return self.route


class _Unsure:
    """The authorize stage that serves, asked only where its answer hangs on nothing that is missing."""

    recorded: Recorded

    def __init__(self, config: Config, authorize: Authorize) -> None:
        self._config = config
        self._authorize = authorize
        self._needs: dict[tuple[int, str], dict[int, tuple[Need, ...]]] = {}

    def __call__(self, ctx: RequestContext, route: Route, principal: Principal, posture: Posture | None) -> Permit:
        """Raises Refused as serving does, and Undecidable."""
        listener = self._config.listeners[ctx.connection.listener]
        rules = self._authorize.rules(route, listener.name)
        key = route.index, listener.name
        needs = self._needs.get(key)
        if needs is None:
            needs = self._needs[key] = needs_of(rules)
        missing = {}
        for at, read in needs.items():
            unknown = [need for need in read if not self.recorded.shows(need, listener)]
            if unknown:
                missing[at] = unknown
        unknown = self._missing_scopes(route, principal, listener)
        if missing or unknown:
            self._ask(rules, Facts(ctx, route, principal, posture), missing, unknown)
        return self._authorize(ctx, route, principal, posture)

    def preflight(self, ctx: RequestContext, route: Route) -> Permit:
        """The same for a preflight."""
        return self._authorize.preflight(ctx, route)

    def own(self, ctx: RequestContext, route: Route) -> Permit:
        """The same at an address of the gateway's own."""
        return self._authorize.own(ctx, route)

    def _missing_scopes(self, route: Route, principal: Principal, listener: Listener) -> list[Need]:
        """The claims of scopes that are asked for and not known, unless those that are known suffice."""
        requires = self._config.routes[route.index].requires
        if principal.user is None or requires is None or not requires.scopes:
            return []
        needs = [Need("claim", name, (name,)) for name in ("scope", "scp")]
        if scopes(principal.user).issuperset(requires.scopes):
            return []
        missing = [need for need in needs if not self.recorded.shows(need, listener)]
        return missing if len(missing) == len(needs) else []  # they are recorded together

    def _ask(self, rules: Sequence[Rule], facts: Facts, missing: dict[int, list[Need]], asked: Sequence[Need]) -> None:
        """Raises Undecidable where the answer hangs on `missing`, or on `asked` for the scopes."""
        enforced = [rule for rule in rules if not rule.shadow]
        found = {id(rule): holds(rule, facts, missing) for rule in enforced}
        denied = any_of(found[id(rule)] for rule in enforced if rule.action is Action.DENY)
        if denied:
            return
        own = self._config.routes[facts.route.index].allow
        if facts.route.public and not any(rule.mode == "enforce" for rule in own):
            allowed: bool | None = True
        else:
            allowed = any_of(found[id(rule)] for rule in enforced if rule.action is Action.ALLOW)
        if allowed is False or (denied is False and allowed and not asked):
            return
        hanging = needs_of(rule for rule in enforced if found[id(rule)] is None)
        unknown = [need for at, needs in missing.items() if at in hanging for need in needs]
        needs = dict.fromkeys(map(str, [*unknown, *asked]))
        raise Undecidable(f"{', '.join(needs)} {'is' if len(needs) == 1 else 'are'} not recorded")


@dataclass(frozen=True, slots=True)
class Judged:
    """One record, and what became of it."""

    decision: Decision
    answer: Answer | None  # None: undecidable
    why: str = ""  # of what is undecidable


async def judge_all(config: Config, files: Sequence[Path]) -> AsyncIterator[Judged]:
    """Every decision of the audit files in order; they are read twice, first for what their records show at all.

    What hangs on something that was not recorded stays as it was, where the file is the same. Raises CannotJudge.
    """
    replay = Replay(config, input_names(files))
    for decision in decisions(files):
        yield await _one(replay, config, decision)


async def _one(replay: Replay, config: Config, decision: Decision) -> Judged:
    try:
        return Judged(decision, await replay.judge(decision))
    except Undecidable as why:
        if decision.config == config.digest:
            return Judged(decision, Answer(decision.effect, decision.reason, decision.route, decision.rule, None))
        return Judged(decision, None, str(why))
