"""Who can reach a request, read from the compiled rules: each ALLOW by whom it names, less what a DENY takes away.

What the request and the caller decide is decided here; what hangs on anything else stands as a condition, in words.
A caller that no authority of the file could vouch for is not named: it cannot come.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from gateway.config.schema import Config, Listener, Route
from gateway.config.schema.units import in_words
from gateway.control.callers import ANY, ANYONE, OF_WORKLOADS, Caller, callers
from gateway.control.made_up import Url, make_connection
from gateway.control.offline import Candidate, Offline
from gateway.model.place import Place
from gateway.model.principal import Principal
from gateway.stages.authorize import Action, Clause, Facts, Rule, asks

_OF_THE_REQUEST = frozenset(
    {"to.hosts", "to.ports", "to.methods", "to.paths", "to.not_hosts", "to.not_ports", "to.not_methods"}
    | {"to.not_paths", "when destination.port", "when destination.port not"}
)


@dataclass(frozen=True, slots=True)
class Reaches:
    """One way in."""

    principal: str  # an id, or a pattern over ids; "*" is every one
    kind: str  # user, workload, any (whoever proves something) or anyone (who proves nothing too)
    route: str
    rule: str | None  # None: the route is public
    where: Place | None
    conditions: tuple[str, ...]  # all must hold


@dataclass(frozen=True, slots=True)
class Reachable:
    """The answer."""

    routes: tuple[str, ...]  # that may take the request
    ways: tuple[Reaches, ...]

    @property
    def anyone(self) -> bool:
        """True when a caller that proves nothing gets in, whatever else is so."""
        return any(way.kind == "anyone" and not way.conditions for way in self.ways)


def who(offline: Offline, method: str, url: Url, listener: Listener, now: float) -> Reachable:
    """Every way in for `method` and `url` on `listener`. Raises Refused for a request that no route is asked about."""
    connection = make_connection(listener, url.authority)
    ways: list[Reaches] = []
    names: list[str] = []
    for candidate in offline.candidates(connection, method, url, now):
        if candidate.route.index >= 0:
            names.append(candidate.route.name)
            ways += _Reach(offline, candidate, listener).ways()
    return Reachable(tuple(names), tuple(dict.fromkeys(ways)))


class _Reach:
    """One request on one route."""

    def __init__(self, offline: Offline, candidate: Candidate, listener: Listener) -> None:
        self._config: Config = offline.config
        self._listener = listener
        self._asks_certificate = listener.tls is not None and listener.tls.client_certificate != "none"
        self._candidate = candidate
        self._route: Route = self._config.routes[candidate.route.index]
        rules = [rule for rule in offline.rules_of(candidate.route, listener.name) if not rule.shadow]
        self._allow = [rule for rule in rules if rule.action is Action.ALLOW]
        self._deny = [rule for rule in rules if rule.action is Action.DENY]
        self._nobody = self._facts(ANYONE)
        self._headers = tuple(
            f"the header {name} must be {pattern}" for name, pattern in self._route.match.headers.items()
        )

    def ways(self) -> Iterator[Reaches]:
        """Each ALLOW rule in file order; a public route without one of its own is open."""
        if self._route.public and not any(rule.mode == "enforce" for rule in self._route.allow):
            yield from self._way(ANYONE, None, self._route.where, ())
            return
        for rule in self._allow:
            for clauses in self._alternatives(rule):
                unnamed = ANYONE if self._route.public else ANY
                for caller, rest in callers(self._config, self._listener, clauses, unnamed):
                    open_ = self._open(rest, caller)
                    if open_ is not None:
                        yield from self._way(caller, rule.name, rule.where, open_)

    def _alternatives(self, rule: Rule) -> Iterator[list[Clause]]:
        """The ways in which a rule can match this request: what it asks besides."""
        for chosen in product(*rule.groups):
            clauses = [clause for alternative in chosen for clause in alternative]
            asked = [clause for clause in clauses if clause.key not in _OF_THE_REQUEST]
            if all(clause.test(self._nobody) for clause in clauses if clause.key in _OF_THE_REQUEST):
                yield asked

    def _open(self, clauses: Iterable[Clause], caller: Caller) -> tuple[str, ...] | None:
        """What `caller` leaves open, in words; None where it cannot hold."""
        facts = self._facts(caller)
        left = []
        for clause in clauses:
            # where no certificate is asked for, no caller has one
            shown = self._asks_certificate or clause.key not in OF_WORKLOADS
            holds = caller.decides(clause, facts) if shown else clause.test(facts)
            if holds is False:
                return None
            if holds is None:
                left.append(asks(clause))
        return tuple(left)

    def _way(self, caller: Caller, rule: str | None, where: Place | None, asked: tuple[str, ...]) -> Iterator[Reaches]:
        required = self._required(caller)
        if required is None:
            return
        unless: list[str] = []
        for deny in self._deny:
            left = [self._open(clauses, caller) for clauses in self._alternatives(deny)]
            hits = [each for each in left if each is not None]
            if not all(hits):
                return  # whatever else is so, it is denied
            if hits:
                unless.append(f"{deny.name} must not deny: {' or '.join(' and '.join(each) for each in hits)}")
        conditions = (*self._headers, *required, *asked, *unless)
        name = self._candidate.route.name
        yield Reaches(caller.name, caller.kind, name, rule, where, tuple(dict.fromkeys(conditions)))

    def _required(self, caller: Caller) -> list[str] | None:
        """`requires`, and what the listener demands; None where the listener or the file can never give it."""
        requires = self._route.requires
        tls = self._listener.tls
        demanded = tls is not None and tls.client_certificate == "required"
        needed: list[str] = []
        if caller.workload is None and (demanded or (requires is not None and requires.certificate)):
            if not self._asks_certificate:
                return None
            needed.append("a client certificate must be shown")
        if requires is None:
            return needed
        of_tokens = requires.asked().keys() & {"audiences", "scopes", "acr", "max_auth_age"}
        if of_tokens and not self._config.issuers:
            return None
        if requires.posture is not None:
            needed.append(f"the device must meet the posture {requires.posture}")
        if requires.audiences:
            needed.append(f"a token for the audience {' or '.join(requires.audiences)} must be sent")
        if requires.acr:
            needed.append(f"the login must have been one of {' or '.join(requires.acr)} (acr)")
        if requires.max_auth_age is not None:
            needed.append(f"the login must be at most {in_words(requires.max_auth_age)} old")
        return needed + [f"the token must have the scope {scope}" for scope in requires.scopes]

    def _facts(self, caller: Caller) -> Facts:
        ctx, route = self._candidate.ctx, self._candidate.route
        return Facts(ctx, route, Principal(caller.known_workload, caller.known_user, ctx.client_ip), None)
