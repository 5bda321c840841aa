"""Authorize: DENY, then scopes, then ALLOW; there is no default allow. The only maker of permits.

Pure: the same facts give the same answer, and nothing here reads a clock or does I/O.
Shadow rules are judged and named and never decide.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from gateway.model.noun import noun
from gateway.model.permit import Permit
from gateway.model.place import Place
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Challenge, Refused
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.model.shadow import Shadow
from gateway.stages.authorize.attributes import scopes
from gateway.stages.authorize.facts import Facts
from gateway.stages.authorize.judge import Judged, judge
from gateway.stages.authorize.rules import Action, Plain, Rule, plain

_NO_RULE_ALLOWS = Reason.NO_RULE_ALLOWS  # to look one up in its enum takes as long as a call
_NO_RULE = "no allow rule matches"
_EFFECT = {Action.ALLOW: Effect.ALLOW, Action.DENY: Effect.DENY}


@noun
class RouteRules:
    """All rules that a request of one route and one listener meets, each tuple in the order of judging."""

    listed: tuple[Rule, ...]  # all of them: those of policies, then the route's own, each in file order
    deny: tuple[Rule, ...]  # those that decide, in the same order
    allow: tuple[Rule, ...]
    grants: tuple[Rule, ...]  # ALLOW rules with an end, asked last: one that is named was needed
    others: tuple[Rule, ...]  # AUDIT rules, and everything in shadow
    scopes: tuple[str, ...]
    requires: Place | None  # where the scopes stand
    open: bool  # public, and no enforced `allow` of its own
    first: tuple[Plain, ...] = field(init=False)  # the allow rules before the first that is not plain
    plain: bool = field(init=False)  # there is nothing else: whom none of `first` allows, none allows

    def __post_init__(self) -> None:
        first: list[Plain] = []
        if not (self.deny or self.others or self.scopes or self.open):  # else more is asked before a rule allows
            for rule in self.allow:
                form = plain(rule)
                if form is None:
                    break
                first.append(form)
        object.__setattr__(self, "first", tuple(first))
        object.__setattr__(self, "plain", bool(first) and len(first) == len(self.allow) and not self.grants)


def route_rules(
    policies: Iterable[Rule],
    own: Sequence[Rule],
    scopes: tuple[str, ...] = (),
    requires: Place | None = None,
    *,
    public: bool,
    grants: tuple[Rule, ...] = (),
) -> RouteRules:
    """Sort the rules of the policies that apply, and of the route itself, by what they do.

    `scopes`: every one is required, and they stand at `requires`.
    """
    standing = (*policies, *own)
    listed = (*standing, *grants)
    enforced = [rule for rule in standing if not rule.shadow]
    return RouteRules(
        listed,
        tuple(rule for rule in enforced if rule.action is Action.DENY),
        tuple(rule for rule in enforced if rule.action is Action.ALLOW),
        tuple(rule for rule in grants if rule.action is Action.ALLOW),  # one that does not compile allows nothing
        tuple(rule for rule in standing if rule.shadow or rule.action is Action.AUDIT),
        scopes,
        requires,
        public and not any(rule.action is Action.ALLOW and not rule.shadow for rule in own),
    )


_NOTHING = route_rules((), (), public=False)  # nobody gets where no rule was given


class Authorize:
    """The stage."""

    def __init__(
        self,
        rules: Mapping[tuple[int, str], RouteRules],
        origins: Mapping[int, frozenset[str]],
        where: Mapping[int, Place | None],
    ) -> None:
        """`rules` by route index and listener; `origins` by route index where the route has `cors` (`*` is any).

        `where`: of each route's `cors`, for the permit of a preflight.
        """
        of: dict[str, dict[int, RouteRules]] = {}
        for (index, listener), found in rules.items():
            of.setdefault(listener, {})[index] = found
        # by index: a look into a table of thousands takes less of the processor's caches than one into a dictionary
        self._rules = {
            listener: (*(found.get(index, _NOTHING) for index in range(max(found) + 1)), _NOTHING)  # the last: of -1
            for listener, found in of.items()
        }
        self._origins = dict(origins)
        self._where = dict(where)

    def __call__(self, ctx: RequestContext, route: Route, principal: Principal, posture: Posture | None) -> Permit:
        """Raises Refused(DENIED_BY_RULE | SCOPE_MISSING | NO_RULE_ALLOWS), naming the rule that decided."""
        rules = self._rules[ctx.connection.listener][route.index]
        user = principal.user
        if user is not None and posture is None and principal.workload is None and ctx.preflight is None:
            method, named = ctx.method, user.named
            if named is not None:
                for each in rules.first:  # what a user without a certificate is asked, without a call
                    if (each.methods is None or method in each.methods) and named.startswith(each.below):
                        return Permit(ctx, route, principal, each.name, each.where, (), (), user.expires)
                if rules.plain:
                    raise Refused(_NO_RULE_ALLOWS, _NO_RULE, where=route.where)
        facts = Facts(ctx, route, principal, posture)
        audited: tuple[str, ...] = ()
        shadows: tuple[Shadow, ...] = ()
        if rules.others:
            audited, shadows = _mark(rules.others, facts)
        for rule in rules.deny:
            if rule.matches(facts):
                raise Refused(
                    Reason.DENIED_BY_RULE,
                    "" if rule.fault is None else f"the rule is invalid: {rule.fault}",
                    rule=rule.name,
                    where=rule.where,
                    shadows=shadows,
                    audited=audited,
                )
        if rules.scopes and (missing := _missing_scope(rules.scopes, principal)) is not None:
            raise Refused(
                Reason.SCOPE_MISSING,
                f"the scope {missing} is required",
                where=rules.requires or route.where,
                challenge=Challenge(scopes=rules.scopes),
                shadows=shadows,
                audited=audited,
            )
        if user is not None and posture is None and principal.workload is None:  # nearly always
            expires: float | None = user.expires
        else:
            expires = _expires(principal, posture)
        if rules.open:
            return Permit(ctx, route, principal, None, route.where, audited, shadows, expires)
        for rule in rules.allow:
            if rule.matches(facts):
                return Permit(ctx, route, principal, rule.name, rule.where, audited, shadows, expires)
        for rule in rules.grants:
            if rule.matches(facts):
                ends = expires if rule.ends is None or (expires is not None and expires < rule.ends) else rule.ends
                return Permit(ctx, route, principal, rule.name, rule.where, audited, shadows, ends)
        raise Refused(_NO_RULE_ALLOWS, _NO_RULE, where=route.where, shadows=shadows, audited=audited)

    def preflight(self, ctx: RequestContext, route: Route) -> Permit:
        """A CORS preflight against the route's own `cors`. Raises Refused(CORS_REFUSED)."""
        origins = self._origins.get(route.index)
        if origins is None:
            raise Refused(Reason.CORS_REFUSED, "the route has no cors", where=route.where)
        where = self._where.get(route.index)
        if "*" not in origins and (ctx.preflight is None or ctx.preflight.origin not in origins):
            raise Refused(Reason.CORS_REFUSED, "the origin is not listed", where=where)
        return Permit(ctx, route, Principal(None, None, ctx.client_ip), None, where, (), (), None)

    def own(self, ctx: RequestContext, route: Route) -> Permit:
        """An address of the gateway's own: what is asked of its callers, its endpoint asks. No rule stands over it."""
        if ctx.preflight is not None:
            raise Refused(Reason.CORS_REFUSED, "no page is answered here")
        return Permit(ctx, route, Principal(None, None, ctx.client_ip), None, None, (), (), None)

    def judge(self, ctx: RequestContext, route: Route, principal: Principal, posture: Posture | None) -> list[Judged]:
        """Every rule that this request meets, with why; for explain, test and review."""
        return judge(self._rules[ctx.connection.listener][route.index].listed, Facts(ctx, route, principal, posture))

    def rules(self, route: Route, listener: str) -> tuple[Rule, ...]:
        """The compiled rules of a route on a listener, in file order, those of policies first."""
        return self._rules[listener][route.index].listed


def _mark(rules: tuple[Rule, ...], facts: Facts) -> tuple[tuple[str, ...], tuple[Shadow, ...]]:
    """What matches without deciding."""
    audited: list[str] = []
    shadows: list[Shadow] = []
    for rule in rules:
        if rule.matches(facts):
            effect = _EFFECT.get(rule.action)
            if effect is not None:
                shadows.append(Shadow("rule", rule.name, effect, rule.where))
            elif not rule.shadow:
                audited.append(rule.name)
    return tuple(audited), tuple(shadows)


def _missing_scope(wanted: tuple[str, ...], principal: Principal) -> str | None:
    granted = scopes(principal.user) if principal.user is not None else frozenset()
    return next((scope for scope in wanted if scope not in granted), None)


def _expires(principal: Principal, posture: Posture | None) -> float | None:
    """When the first proof ends: the stream that a permit opens lives no longer."""
    user, workload = principal.user, principal.workload
    end = user.expires if user is not None else None
    if workload is not None:
        end = workload.not_after if end is None else min(end, workload.not_after)
    if posture is not None and posture.expires is not None:
        end = posture.expires if end is None else min(end, posture.expires)
    return end
