"""What an audit log says about the policy that it was written under: what is not used, what is wider than its use.

Only what was recorded counts: a rule that is unused in the log may be needed tomorrow, so nothing here is more than
a suggestion, and each says on how many requests it stands.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import yaml

from gateway.config.schema import Config, Listener, Operation, Policy, Route, Rule, Source
from gateway.control.records import Decision
from gateway.kernel.patterns.values import Kind, parse_value
from gateway.model.methods import KNOWN_METHODS, NOT_IN_ANY
from gateway.model.place import Place

_NAMED = 10  # callers that a suggestion names at most
_USERS = ("request_principals", "issuers")
_WORKLOADS = ("principals", "namespaces", "service_accounts", "trust_domains")


@dataclass(frozen=True, slots=True)
class Unused:
    """A rule that no record names."""

    rule: str
    route: str | None  # None: a policy's
    action: str
    mode: str
    where: Place


@dataclass(frozen=True, slots=True)
class OverPrivileged:
    """A caller that uses at most half of the methods that a rule lets it use."""

    principal: str
    route: str
    rule: str
    where: Place
    granted: tuple[str, ...]
    used: tuple[str, ...]
    requests: int


@dataclass(slots=True)
class WouldBreak:
    """A caller that is let in without a certificate where one is asked for and not demanded."""

    listener: str
    principal: str
    since: float  # seconds since 1970, as `last`
    last: float
    requests: int = 0
    routes: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A rule as tight as its use."""

    route: str
    rule: str
    where: Place
    why: str
    requests: int
    rule_as_written: Mapping[str, object]  # to stand in the place of the one at `where`

    @property
    def yaml(self) -> str:
        """The rule as an entry of a list."""
        return yaml.safe_dump([self.rule_as_written], sort_keys=False, default_flow_style=None, width=120)


@dataclass(slots=True)
class _Use:
    """How one allowing rule was used."""

    methods: Counter[str] = field(default_factory=Counter)
    callers: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    users: set[str] = field(default_factory=set)
    workloads: set[str] = field(default_factory=set)
    bare: bool = False  # somebody came without a token; with `unproved`: without a certificate
    unproved: bool = False


class Review:
    """Takes in decisions, and tells what they show."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._named: set[tuple[str | None, str]] = set()  # (route, rule) of every record
        self._uses: dict[tuple[str, str], _Use] = defaultdict(_Use)
        self._breaks: dict[tuple[str, str], WouldBreak] = {}
        self._optional = [name for name, listener in config.listeners.items() if _optional(listener)]
        self._seen: set[str] = set()  # listeners
        self.decisions = 0
        self.first = self.last = 0.0  # seconds since 1970

    def learn(self, decisions: Iterable[Decision]) -> None:
        """Take in records."""
        for decision in decisions:
            self.decisions += 1
            self.first = min(self.first or decision.time, decision.time)
            self.last = max(self.last, decision.time)
            for name in (decision.rule, *decision.shadows, *decision.audited):
                if name is not None:
                    self._named.add((decision.route, name))
            if decision.allowed:
                self._allowed(decision)

    def _allowed(self, decision: Decision) -> None:
        if decision.rule is not None and decision.route is not None:
            use = self._uses[decision.route, decision.rule]
            use.methods[decision.method] += 1
            use.callers[decision.principal][decision.method] += 1
            if decision.subject is not None:
                use.users.add(f"{decision.issuer}/{decision.subject}")
            else:
                use.bare = True
            if decision.workload is not None:
                use.workloads.add(decision.workload)
            else:
                use.unproved = True
        listener = self._listener(decision)
        if listener is None:
            return
        self._seen.add(listener)
        if decision.workload is None:
            key = listener, decision.principal
            found = self._breaks.setdefault(key, WouldBreak(*key, decision.time, decision.time))
            found.since, found.last = min(found.since, decision.time), max(found.last, decision.time)
            found.requests += 1
            found.routes.add(decision.route or "none")

    def _listener(self, decision: Decision) -> str | None:
        """The optional listener that it came by; None for another, and where that is not known."""
        if decision.listener is not None:
            return decision.listener if decision.listener in self._optional else None
        served = [name for name, listener in self._config.listeners.items() if listener.redirect is None]
        route = next((route for route in self._config.routes if route.name == decision.route), None)
        if route is not None and route.match.listeners:
            served = [name for name in served if name in route.match.listeners]
        return served[0] if len(served) == 1 and served[0] in self._optional else None

    def ready(self) -> list[str]:
        """The optional listeners that were used, and by nobody without a certificate: STRICT would break none."""
        breaking = {each.listener for each in self._breaks.values()}
        return [name for name in self._optional if name in self._seen - breaking]

    def unused(self) -> list[Unused]:
        """The rules that no record names, in file order, those of policies first, then grants."""
        anywhere = {name for _, name in self._named}
        found = [
            Unused(rule.name, None, policy.action, _mode(policy, rule), rule.where)
            for policy in self._config.policies
            for rule in policy.rules
            if rule.name not in anywhere
        ]
        found += [
            Unused(grant.rule.name, None, "allow", "enforce", grant.rule.where)
            for grant in self._config.granted
            if grant.rule.name not in anywhere
        ]
        for route in self._config.routes:
            for action, rules in (("deny", route.deny), ("allow", route.allow)):
                found += [
                    Unused(rule.name, route.name, action, rule.mode, rule.where)
                    for rule in rules
                    if (route.name, rule.name) not in self._named
                ]
        return found

    def over_privileged(self) -> list[OverPrivileged]:
        """Callers whose use is at most half of a grant, the widest gap first."""
        found = []
        for route, rule, use in self._used():
            granted = _granted(route, rule)
            for caller, methods in use.callers.items():
                used = set(methods) & granted
                if len(used) * 2 <= len(granted):
                    found.append(
                        OverPrivileged(
                            caller,
                            route.name,
                            rule.name,
                            rule.where,
                            _listed(granted),
                            tuple(sorted(used)),
                            methods.total(),
                        )
                    )
        return sorted(found, key=lambda each: (len(each.used) - len(each.granted), each.route, each.principal))

    def would_break(self) -> list[WouldBreak]:
        """Who is let in without a certificate, the most frequent first."""
        return sorted(self._breaks.values(), key=lambda each: (each.listener, -each.requests, each.principal))

    def suggestions(self) -> list[Suggestion]:
        """For each rule of a route that is wider than its use: the same rule, as tight as its use."""
        found = []
        for route, rule, use in self._used():
            changes: list[str] = []
            tighter = _methods(route, rule, use, changes)
            tighter = _callers(tighter, use, changes)
            if changes:
                requests = use.methods.total()
                found.append(
                    Suggestion(route.name, rule.name, rule.where, "; ".join(changes), requests, _plain(tighter))
                )
        return found

    def _used(self) -> Iterable[tuple[Route, Rule, _Use]]:
        for route in self._config.routes:
            for rule in route.allow:
                use = self._uses.get((route.name, rule.name))
                if use is not None:
                    yield route, rule, use


def _optional(listener: Listener) -> bool:
    return listener.tls is not None and listener.tls.client_certificate == "optional"


def _mode(policy: Policy, rule: Rule) -> str:
    return "shadow" if "shadow" in (policy.mode, rule.mode) else "enforce"


def _granted(route: Route, rule: Rule) -> frozenset[str]:
    """The methods that the route and the rule let through, as far as they name them."""
    everything = KNOWN_METHODS - NOT_IN_ANY
    of_route = frozenset(route.match.methods) if route.match.methods and "*" not in route.match.methods else everything
    asked = [frozenset(to.methods) if to.methods and "*" not in to.methods else everything for to in rule.to]
    of_rule = frozenset().union(*asked) if asked else everything
    return of_route & of_rule


def _listed(methods: frozenset[str]) -> tuple[str, ...]:
    return ("*",) if methods == KNOWN_METHODS - NOT_IN_ANY else tuple(sorted(methods))


def _methods(route: Route, rule: Rule, use: _Use, changes: list[str]) -> Rule:
    """The rule with the methods that were used, where it has room for fewer and one `to` at most."""
    granted, used = _granted(route, rule), set(use.methods)
    if len(rule.to) > 1 or not used < granted:
        return rule
    changes.append(f"only {', '.join(sorted(used))} of {', '.join(_listed(granted))} were used")
    only = tuple(sorted(used))
    if not rule.to:
        return rule.replace(to=(Operation(methods=only),))
    return rule.replace(to=(rule.to[0].replace(methods=only),))


def _callers(rule: Rule, use: _Use, changes: list[str]) -> Rule:
    """The rule with the callers that came, where a pattern lets in more and they are few."""
    if len(rule.from_) > 1:
        return rule
    source = rule.from_[0] if rule.from_ else Source()
    users, workloads = sorted(use.users), sorted(use.workloads)
    if _wide(source, _WORKLOADS) and not use.unproved and 0 < len(workloads) <= _NAMED:
        tight = source.replace(**{**dict.fromkeys(_WORKLOADS, ()), "principals": tuple(workloads)})
        kind, count = "workload", len(workloads)
    elif _wide(source, _USERS) and not use.bare and 0 < len(users) <= _NAMED:
        tight = source.replace(**{**dict.fromkeys(_USERS, ()), "request_principals": tuple(users)})
        kind, count = "user", len(users)
    else:
        return rule
    changes.append(f"only {count} {kind}{'s' * (count > 1)} came")
    return rule.replace(from_=(tight,))


def _wide(source: Source, keys: tuple[str, ...]) -> bool:
    """True where the source names callers of this kind and not each by its id."""
    exact, *others = keys
    patterns = getattr(source, exact)
    if any(getattr(source, key) for key in others):
        return not patterns
    return any(parse_value(pattern)[0] is not Kind.EXACT for pattern in patterns)


def _plain(rule: Rule) -> Mapping[str, object]:
    """The rule as a file would write it: what says nothing is left out."""
    plain: dict[str, object] = {"name": rule.name}
    if rule.mode != "enforce":
        plain["mode"] = rule.mode
    for key, parts in (("from", rule.from_), ("to", rule.to), ("when", rule.when)):
        written = [
            part
            if isinstance(part, str)  # CEL
            else {name: _value(value) for name, value in part if name != "where" and value not in ((), None)}
            for part in parts
        ]
        if written:
            plain[key] = written[0] if len(written) == 1 and key != "when" else written
    return plain


def _value(value: object) -> object:
    if isinstance(value, tuple):
        return [each if isinstance(each, int) else str(each) for each in value]
    return value if isinstance(value, int | str) else str(value)
