"""What is allowed and unwise: each a warning that says what would be better."""

from collections.abc import Sequence

from gateway.config.checks.cover import covers, disjoint
from gateway.config.checks.report import Report
from gateway.config.schema import Config, Operation, Policy, Route, Rule, Source
from gateway.config.tree import Path
from gateway.kernel.patterns.values import compile_values
from gateway.model.methods import KNOWN_METHODS

_WRITES = KNOWN_METHODS - {"GET", "HEAD", "OPTIONS", "QUERY", "SEARCH", "PROPFIND", "REPORT", "TRACE"}


def check(config: Config, report: Report) -> None:
    """All warnings that need no file and no clock."""
    _process(config, report)
    _trust(config, report)
    for index, route in enumerate(config.routes):
        _public(config, report, index, route)
    if report.sound:
        _rules(config, report)


def _rules(config: Config, report: Report) -> None:
    for index, policy in enumerate(config.policies):
        # A DENY over paths that no route has (yet) is a safeguard, not a mistake.
        routes = _routes_of(config, policy) if policy.action == "allow" else ()
        for position, rule in enumerate(policy.rules):
            _rule(config, report, ("policies", index, "rules", position), rule, policy.action, routes)
    for index, route in enumerate(config.routes):
        for key, rules in (("deny", route.deny), ("allow", route.allow)):
            for position, rule in enumerate(rules):
                path: Path = ("routes", index, key, position)
                _rule(config, report, path, rule, key, [route])
                if key == "allow":
                    _star_on_writes(report, path, rule, route)


def _rule(config: Config, report: Report, path: Path, rule: Rule, action: str, routes: Sequence[Route]) -> None:
    if _matches_all(rule):
        report.warn(path, f"the rule {rule.name} matches every request: it would {action} all")
    if _never(config, rule, routes):
        report.warn(path, f"the rule {rule.name} can never match")


def _matches_all(rule: Rule) -> bool:
    """True for `{}`, and for one that only asks for any path, method or host."""
    return not rule.from_ and not rule.when and (not rule.to or any(map(_anything, rule.to)))


def _anything(operation: Operation) -> bool:
    asked = {key for key, values in operation if key != "where" and values}
    return (
        asked <= {"hosts", "methods", "paths"}
        and (not operation.hosts or "*" in operation.hosts)
        and (not operation.methods or "*" in operation.methods)
        and (not operation.paths or not {"*", "/*"}.isdisjoint(operation.paths))
    )


def _process(config: Config, report: Report) -> None:
    if config.workers > 1 and config.store.get_secret_value() == "memory://":
        path: Path = ("store",) if report.stands(("store",)) else ("workers",)
        report.warn_at_key(
            path, f"memory:// with {config.workers} workers: each counts alone, its share of every rate", "use redis://"
        )
        if any(issuer.binding.dpop != "off" for issuer in config.issuers.values()):
            report.warn_at_key(
                path,
                f"memory:// with {config.workers} workers: a DPoP proof can be used once in each of them",
                "use redis://",
            )
    if config.audit.signing_key is None and not report.lost(config.audit.where, "signing_key"):
        report.warn_at_key(
            ("audit",) if report.stands(("audit",)) else (),
            "checkpoints are unsigned: who can write the audit files can rewrite them unseen",
            "add audit.signing_key",
        )


def _trust(config: Config, report: Report) -> None:
    if config.identity is None and config.upstreams and not report.lost_in("identity"):
        report.warn_at_key(("upstreams",), "no identity: the gateway proves nothing to backends", "add identity")
    for name, upstream in config.upstreams.items():
        for index, endpoint in enumerate(upstream.endpoints):
            if endpoint.url.startswith("http://"):
                report.warn(
                    ("upstreams", name, "endpoints", index),
                    f"{endpoint.url} is neither encrypted nor verified on its way",
                    "write https://",
                )
    for name, issuer in config.issuers.items():
        if "*" in issuer.audiences:
            report.warn(
                ("issuers", name, "audiences"), "a token for any audience is accepted, also for another service"
            )
        for way, to in (("dpop", "a key"), ("mtls", "a certificate")):
            if getattr(issuer.binding, way) == "off":
                path: Path = ("issuers", name, "binding", way)
                report.warn(path, f"binding is off: a stolen token that is bound to {to} works without it")
    if config.trust_domains or config.client_authorities:
        return
    for name, listener in config.listeners.items():
        path = ("listeners", name, "tls", "client_certificate")
        if listener.tls is not None and listener.tls.client_certificate == "optional" and report.stands(path):
            report.warn(
                path,
                "nothing says whose client certificates are believed: none ever is",
                "add trust_domains or client_authorities",
            )


def _public(config: Config, report: Report, index: int, route: Route) -> None:
    serving = [listener for listener in config.listeners.values() if listener.redirect is None]
    if route.public and not route.match.listeners and len(serving) > 1:
        report.warn(
            ("routes", index),
            f"the public route {route.name} is served on every listener",
            "name the listeners that it is meant for",
        )


def _star_on_writes(report: Report, path: Path, rule: Rule, route: Route) -> None:
    if rule.when or (route.requires is not None and route.requires.scopes):
        return
    if _matches_all(rule) or (route.public and not rule.from_):
        return
    if rule.from_ and not any(_only_star(source) for source in rule.from_):
        return
    match = route.match.methods
    for operation in rule.to or (Operation(),):
        methods = set(operation.methods or match or ("*",))
        methods = set(KNOWN_METHODS) if "*" in methods else methods
        methods -= set(operation.not_methods)
        if methods & _WRITES and "*" not in operation.not_methods:
            report.warn(path, f"the rule {rule.name} lets every caller write", "name the callers, or require a scope")
            return


def _only_star(source: Source) -> bool:
    asked = {key for key, values in source if key != "where" and values}
    return asked <= {"principals", "request_principals"} and "*" in (*source.principals, *source.request_principals)


def _routes_of(config: Config, policy: Policy) -> Sequence[Route]:
    return [route for route in config.routes if compile_values(policy.routes)(route.name)]


def _never(config: Config, rule: Rule, routes: Sequence[Route]) -> bool:
    """True when surely no request on `routes` matches."""
    if rule.from_ and all(_impossible(config, source) for source in rule.from_):
        return True
    return bool(routes and rule.to) and all(
        _elsewhere(operation, route) or _not_here(config, operation, route) for operation in rule.to for route in routes
    )


def _impossible(config: Config, source: Source) -> bool:
    certificates = any(each.tls and each.tls.client_certificate != "none" for each in config.listeners.values())
    if (source.principals or source.namespaces or source.service_accounts or source.trust_domains) and not certificates:
        return True
    if (source.request_principals or source.issuers) and not config.issuers:
        return True
    if source.principals and all(_foreign(config, principal) for principal in source.principals):
        return True
    if source.request_principals and all(_unissued(config, principal) for principal in source.request_principals):
        return True
    for key, values in source:
        excluded = set(getattr(source, f"not_{key}", ()))
        if values and key != "where" and excluded and (set(values) <= excluded or "*" in excluded):
            return True
    return False


def _foreign(config: Config, principal: str) -> bool:
    """True for an id of a trust domain that the file does not know, and for a DNS name that nobody may vouch for."""
    if principal.startswith("dns:"):
        return not config.client_authorities
    domain, slash, _ = principal.removeprefix("spiffe://").partition("/")
    return (
        principal.startswith("spiffe://") and bool(slash) and "*" not in domain and domain not in config.trust_domains
    )


def _unissued(config: Config, principal: str) -> bool:
    """True for users (`iss/sub`) of an issuer that the file does not know."""
    if principal.startswith("*"):
        return False
    text = principal.removesuffix("*")
    known = [f"{issuer.issuer}/" for issuer in config.issuers.values()]
    return not any(text.startswith(each) or (text != principal and each.startswith(text)) for each in known)


def _not_here(config: Config, operation: Operation, route: Route) -> bool:
    """True when the route is served on none of these ports, or for none of these hosts."""
    listeners = [config.listeners[name] for name in route.match.listeners] or config.listeners.values()
    ports = {listener.address.port for listener in listeners}
    if operation.ports and ports.isdisjoint(operation.ports) and 0 not in ports:
        return True
    hosts = {host.lower() for host in operation.hosts}
    plain = not any("*" in host for host in (*hosts, *route.match.hosts))
    return bool(plain and hosts and route.match.hosts) and hosts.isdisjoint(map(str.lower, route.match.hosts))


def _elsewhere(operation: Operation, route: Route) -> bool:
    match = route.match
    both = operation.methods and match.methods and "*" not in (*operation.methods, *match.methods)
    if both and not set(operation.methods) & set(match.methods):
        return True
    if operation.methods and set(operation.methods) <= set(operation.not_methods):
        return True
    if operation.paths and all(disjoint(one, other) for one in operation.paths for other in match.paths):
        return True
    return bool(operation.not_paths) and all(
        any(covers(excluded, path) for excluded in operation.not_paths) for path in operation.paths or match.paths
    )
