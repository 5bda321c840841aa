"""Rules and what a route requires, as the policies of three RBAC filters: DENY, LOG and ALLOW.

Rule: what Envoy cannot ask is said, and never allows more: an ALLOW rule is left out, a DENY rule asks less.
Source: Envoy v3 API, extensions.filters.http.rbac.v3; contract section 3.
"""

from collections.abc import Sequence

from gateway.config.schema import Condition, Config, Operation, Requires, Route, Rule, Source
from gateway.convert.envoy.clauses import (
    Identities,
    all_ids,
    all_rules,
    any_id,
    any_rule,
    cidr,
    claim,
    none_of,
    none_of_rules,
    operation_clause,
    text_value,
    workload,
)
from gateway.convert.envoy.protos import Message, header, host_match, path_match, regex, string_match, typed
from gateway.convert.report import Report
from gateway.kernel.patterns.values import compile_values

DENY, LOG, ALLOW = "gateway.rbac.deny", "gateway.rbac.audit", "gateway.rbac.allow"
FILTERS = (DENY, LOG, ALLOW)
_RBAC = "extensions.filters.http.rbac.v3"
_AS_SOURCE = {
    "source.principal": "principals",
    "source.namespace": "namespaces",
    "source.serviceAccount": "service_accounts",
    "source.trustDomain": "trust_domains",
    "request.auth.principal": "request_principals",
    "source.ip": "ip_blocks",
    "remote.ip": "remote_ip_blocks",
}
_CLAIM = {"request.auth.audiences": "aud", "request.auth.presenter": "azp"}
_ASKED = frozenset(("certificate", "audiences", "scopes"))  # of `requires`
_EVERYTHING: Message = {"any": True}


class Rules:
    """Writes the rules of routes."""

    def __init__(self, config: Config, report: Report) -> None:
        self._config = config
        self._report = report
        self._identities = Identities({name: issuer.issuer for name, issuer in config.issuers.items()})

    def per_route(self, route: Route, listener: str) -> dict[str, object]:
        """The `typed_per_filter_config` of a route on a listener."""
        enforced: dict[str, Message] = {name: {} for name in FILTERS}
        shadow: dict[str, Message] = {name: {} for name in FILTERS}
        for rule, action, shadowed in self._listed(route, listener):
            policy = self._policy(rule, deny=action != "allow")
            if policy is None:
                continue
            held = (shadow if shadowed else enforced)[{"deny": DENY, "audit": LOG, "allow": ALLOW}[action]]
            held[rule.name if rule.name not in held else f"{rule.name} ({len(held)})"] = policy
        enforced[DENY] = {**enforced[DENY], **self._required(route)}
        own = any(rule.mode == "enforce" for rule in route.allow)
        actions = {DENY: "DENY", LOG: "LOG", ALLOW: "ALLOW"}
        found: dict[str, object] = {}
        for name, action in actions.items():
            message: Message = {}
            if enforced[name] or (name == ALLOW and (own or not route.public)):
                message["rules"] = {"action": action, "policies": enforced[name]}
            if shadow[name]:
                message["shadow_rules"] = {"action": action, "policies": shadow[name]}
                message["shadow_rules_stat_prefix"] = "shadow_"
            if name == ALLOW and route.public and not own:
                message.pop("rules", None)  # open: the policies' ALLOW rules add nothing to it
            found[name] = typed(f"{_RBAC}.RBACPerRoute", rbac=message)
        return found

    def _listed(self, route: Route, listener: str) -> list[tuple[Rule, str, bool]]:
        found: list[tuple[Rule, str, bool]] = []
        for policy in self._config.policies:
            if policy.listeners and listener not in policy.listeners:
                continue
            if compile_values(policy.routes)(route.name):
                found += [(rule, policy.action, "shadow" in (policy.mode, rule.mode)) for rule in policy.rules]
        found += [(rule, "deny", rule.mode == "shadow") for rule in route.deny]
        return found + [(rule, "allow", rule.mode == "shadow") for rule in route.allow]

    def _required(self, route: Route) -> dict[str, Message]:
        """What a route wants besides its rules, as rules that deny."""
        requires = route.requires or Requires()
        wanted: dict[str, Message] = {}
        if not route.public:
            token = claim(["iss"], {"present_match": True})
            wanted["credentials"] = any_id([workload(None), token] if self._config.issuers else [workload(None)])
        trusted = self._trusted()
        if trusted and not route.ignore_credentials:
            wanted["identity that is trusted"] = any_id([{"not_id": workload(None)}, *trusted])
        if requires.certificate:
            wanted["certificate"] = workload(None)
        for scope in requires.scopes:
            either = [claim([name], text_value({"exact": scope})) for name in ("scope", "scp")]
            wanted[f"scope {scope}"] = any_id(either)
        unasked = sorted(requires.asked().keys() - _ASKED)
        for key in unasked:
            why = "Envoy cannot ask it, so the route denies every request"
            self._report.lose(requires.stated(key), "", f"routes[{route.name}].requires.{key}", why)
            wanted[key] = {"not_id": _EVERYTHING}
        return {
            f"{route.name}: {name} required": {"permissions": [_EVERYTHING], "principals": [{"not_id": asked}]}
            for name, asked in wanted.items()
        }

    def _trusted(self) -> list[Message]:
        """The identities that a certificate may have; [] where the handshake sees to it."""
        domains, authorities = self._config.trust_domains, list(self._config.client_authorities.values())
        if domains:
            return [workload({"prefix": f"spiffe://{name}/"}) for name in domains] if len(domains) == 1 else []
        names = authorities[0].names if authorities else ()
        return [workload({"suffix": name[1:]} if name.startswith("*") else {"exact": name}) for name in names]

    def _policy(self, rule: Rule, *, deny: bool) -> Message | None:
        ids: list[Message] = []
        permissions: list[Message] = []
        if rule.from_:
            ids.append(any_id([self._source(each, deny=deny) for each in rule.from_]))
        if rule.to:
            permissions.append(any_rule([_operation(each, deny=deny) for each in rule.to]))
        for index, condition in enumerate(rule.when):
            found = self._condition(condition, deny=deny)
            if found is None:
                why = "left out of the rule, which denies more" if deny else "and so the rule is left out"
                path = f"{rule.name}.when[{index}]"
                self._report.lose(rule.where, "", path, f"Envoy cannot ask it as it is asked here: {why}")
                if not deny:
                    return None
                continue
            ids += found[0]
            permissions += found[1]
        return {"permissions": [all_rules(permissions)], "principals": [all_ids(ids)]}

    def _source(self, source: Source, *, deny: bool) -> Message:
        return all_ids(
            [self._identities.clause(key, list(map(str, values)), deny=deny) for key, values in _asked(source)]
        )

    def _condition(self, condition: object, *, deny: bool) -> tuple[list[Message], list[Message]] | None:
        """Principals and permissions; None for what cannot be asked."""
        if not isinstance(condition, Condition):
            return None
        ids: list[Message] = []
        permissions: list[Message] = []
        for values, negated in ((condition.values, False), (condition.not_values, True)):
            if not values:
                continue
            known = _AS_SOURCE.get(condition.key)
            if known is not None:
                key = f"not_{known}" if negated else known
                ids.append(self._identities.clause(key, values, deny=deny))
                continue
            claimed = _claim_path(condition.key)
            if claimed:
                asked = any_id([claim(claimed, text_value(string_match(value))) for value in values])
                present = claim(claimed, {"present_match": True})
                ids.append(none_of(asked, present, deny=deny) if negated else asked)
                continue
            permission = _permission(condition.key, values, negated=negated, deny=deny)
            if permission is None:
                return None
            permissions.append(permission)
        return ids, permissions


def _asked(node: Source | Operation) -> list[tuple[str, Sequence[object]]]:
    return [(key, values) for key, values in node if key != "where" and values]


def _operation(operation: Operation, *, deny: bool) -> Message:
    return all_rules([operation_clause(key, list(map(str, values)), deny=deny) for key, values in _asked(operation)])


def _claim_path(key: str) -> list[str]:
    if key in _CLAIM:
        return [_CLAIM[key]]
    return key[len("request.auth.claims[") : -1].split("][") if key.startswith("request.auth.claims[") else []


def _permission(key: str, values: Sequence[str], *, negated: bool, deny: bool) -> Message | None:
    """A condition that Envoy asks of the request or connection; None for what it cannot ask."""
    present: Message | None = None
    if key == "destination.ip":
        asked = any_rule([{"destination_ip": cidr(value)} for value in values])
    elif key == "destination.port":
        asked = any_rule([{"destination_port": int(value)} for value in values])
    elif key == "connection.sni":
        asked = any_rule([{"requested_server_name": string_match(value, ignore_case=True)} for value in values])
        present = {"requested_server_name": regex(".+")}
    elif key.startswith("request.headers["):
        name = key[len("request.headers[") : -1].lower()
        if name in ("host", ":authority"):
            asked = any_rule([{"header": header(":authority", host_match(value))} for value in values])
        elif name == ":path":
            asked = any_rule([{"url_path": {"path": path_match(value)}} for value in values])
        else:
            asked = any_rule([{"header": header(name, string_match(value))} for value in values])
            present = {"header": {"name": name, "present_match": True}} if name != ":method" else None
    else:
        return None
    return none_of_rules(asked, present, deny=deny) if negated else asked


def deny_all() -> Message:
    """The configuration of the DENY filter for a route that answers nobody."""
    policy: Message = {"permissions": [_EVERYTHING], "principals": [_EVERYTHING]}
    return typed(f"{_RBAC}.RBACPerRoute", rbac={"rules": {"action": "DENY", "policies": {"all": policy}}})


def filters() -> list[Message]:
    """The three filters; a route's own configuration says what each asks."""
    return [{"name": name, "typed_config": typed(f"{_RBAC}.RBAC")} for name in FILTERS]
