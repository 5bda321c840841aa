"""AuthorizationPolicy into an entry of `policies`.

Rule: whatever is lost on the way, the result never allows more than the original did.
Source: Istio reference, AuthorizationPolicy; security rules Z2 to Z9, Z12, Z13, Z19.
"""

from gateway.convert.fields import Fields
from gateway.convert.istio import clauses
from gateway.convert.istio.clauses import Carry, Known, carry
from gateway.convert.istio.conditions import Conditions, may_be_absent
from gateway.convert.manifests import Resource
from gateway.convert.scope import Scope

_ACTIONS = ("ALLOW", "DENY", "AUDIT")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})  # Go's strconv.ParseBool
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_NAME = {
    "principals": "principals", "requestPrincipals": "request_principals", "namespaces": "namespaces",
    "serviceAccounts": "service_accounts", "trustDomains": "trust_domains", "ipBlocks": "ip_blocks",
    "remoteIpBlocks": "remote_ip_blocks", "hosts": "hosts", "ports": "ports", "methods": "methods", "paths": "paths",
}  # fmt: skip
_MAY_BE_ABSENT = frozenset({"principals", "requestPrincipals", "namespaces", "serviceAccounts", "trustDomains"})


class Authorization:
    """Carries one policy."""

    def __init__(self, resource: Resource, scope: Scope) -> None:
        """`scope`: on which routes it stands here."""
        self._resource = resource
        self._report = resource.fields.report
        self._scope = scope
        self._action = "ALLOW"

    def carry(self) -> dict[str, object] | None:
        """The policy without its name, or None where nothing is left of it."""
        shadow = self._dry_run()
        spec = self._resource.spec()
        self._action = str(spec.raw("action") or "ALLOW")
        if self._action not in _ACTIONS:
            spec.lose_all(_why_no_action(self._action))
            return None
        spec.lose_each({"provider": "only CUSTOM names one"})
        self._scope.selectors(spec, "selector", "targetRef", "targetRefs")
        rules = self._rules(spec)
        spec.rest()
        if not rules:
            return None
        policy: dict[str, object] = {"action": self._action.lower()}
        if shadow:
            policy["mode"] = "shadow"
        return {**policy, "routes": self._scope.routes(), "rules": rules}

    @property
    def _grants(self) -> bool:
        return self._action == "ALLOW"

    def _note(self, text: str) -> None:
        self._report.note(f"{self._resource.fields.resource}: {text}")

    def _dry_run(self) -> bool:
        value = self._resource.annotations.get("istio.io/dry-run")
        if value in _TRUE or value in _FALSE:
            del self._resource.annotations["istio.io/dry-run"]
        return value in _TRUE

    def _rules(self, spec: Fields) -> list[dict[str, object]]:
        if spec.block.get("rules") is None:  # absent, and null, which is the same to Kubernetes
            spec.take("rules")
            self._note(
                "it has no rules, so it matches nothing, and nothing is written for it"
                + (": a route without a matching allow is denied here anyway" if self._grants else "")
            )
            return []
        written = spec.each("rules")
        if written is None:
            return []
        if not written:
            spec.lose("rules", "an empty list is an error here; Istio reads it as no rules, which match nothing")
        rules = []
        for fields in written:
            rule = self._rule(fields)
            if rule is None:
                fields.lose_all("the rule is left out: too little of what it asks is left")
            else:
                rules.append(rule)
        return rules

    def _rule(self, fields: Fields) -> dict[str, object] | None:
        rule: dict[str, object] = {}
        for key, part, keys in (("from", "source", self._source_keys()), ("to", "operation", _operation_keys())):
            if key not in fields:
                continue
            side = self._side(fields, key, part, keys)
            if side is Known.FALSE:
                fields.take("from", "to", "when")
                fields.rest()
                return None
            if isinstance(side, list):
                rule[key] = side[0] if len(side) == 1 else side
        incomplete = False
        if "when" in fields:
            conditions, incomplete = self._when(fields)
            if conditions:
                rule["when"] = conditions
        if (fields.rest() or incomplete) and self._grants:
            if rule:
                fields.lose_all("the rule is in shadow, which never allows: without what is lost it would allow more")
            return {"mode": "shadow", **rule} if rule else None
        if not rule and len(fields.block):
            self._note(f"{fields.path} {'denies' if self._action == 'DENY' else 'marks'} every request now")
        if self._grants and "from" not in rule and "when" not in rule:
            self._note(
                f"{fields.path} asks nothing of the caller: Istio lets callers without any credential through by it; "
                "here a route answers them 401 unless it is `public: true`"
            )
        return rule

    def _side(self, fields: Fields, key: str, part: str, keys: dict[str, Carry]) -> list[dict[str, object]] | Known:
        unknown = Known.FALSE if self._grants else Known.TRUE
        entries = fields.each(key)
        if not entries:
            if entries is not None:
                fields.lose(key, "an empty list is an error here: leave the key out, or write what it should ask")
            return unknown
        found: list[dict[str, object]] = []
        everything = False
        for entry in entries:
            below = entry.fields(part)
            if below is None and part not in entry:
                entry.lose_all(f"it has no {part}")
            one = self._mapping(below, keys) if below is not None else unknown
            if entry.rest() and self._grants:
                one = Known.FALSE
            if isinstance(one, dict):
                found.append(one)
            everything = everything or one is Known.TRUE
        if everything:
            return Known.TRUE
        return found or Known.FALSE

    def _mapping(self, fields: Fields, keys: dict[str, Carry]) -> dict[str, object] | Known:
        """One source or operation."""
        unknown = Known.FALSE if self._grants else Known.TRUE
        if not fields.block:
            fields.lose_all("it asks nothing: leave it out, or write what it should ask")
            return unknown
        beside = [key for key in ("principals", "notPrincipals", "namespaces", "notNamespaces") if key in fields]
        if beside and ("serviceAccounts" in fields or "notServiceAccounts" in fields):
            fields.lose_all(f"{beside[0]} stands beside service accounts, which say both already; Istio refuses it too")
            return unknown
        found: dict[str, object] = {}
        never = False
        for theirs in list(fields):
            negated = theirs.startswith("not")
            plain = theirs[3].lower() + theirs[4:] if negated and len(theirs) > 4 else theirs
            if plain not in keys:
                continue
            clause = carry(fields, theirs, keys[plain], negated=negated, grants=self._grants)
            never = never or clause is Known.FALSE
            if isinstance(clause, list):
                ours = f"not_{_NAME[plain]}" if negated else _NAME[plain]
                found[ours] = [int(value) for value in clause] if plain == "ports" else clause
                if plain in _MAY_BE_ABSENT:
                    self._absence(fields.at(theirs), negated=negated)
                self._about(plain, clause)
        if (fields.rest() and self._grants) or never:
            return Known.FALSE
        return found or Known.TRUE

    def _when(self, fields: Fields) -> tuple[list[dict[str, object]], bool]:
        """The conditions that are carried whole, and whether something is lost that asked for more."""
        entries = fields.each("when")
        if not entries:
            if entries is not None:
                fields.lose("when", "an empty list is an error here: leave the key out")
            return [], True
        conditions = Conditions(self._resource.namespace, grants=self._grants)
        found: list[dict[str, object]] = []
        for entry in entries:
            one = conditions.carry(entry)
            if not isinstance(one, dict):
                continue
            found.append(one)
            key = str(one["key"])
            for ours, theirs in (("values", "values"), ("not_values", "notValues")):
                if ours in one and may_be_absent(key):
                    self._absence(f"{entry.path}.{theirs}", negated=ours == "not_values", what=key)
            self._about(key, [value for each in ("values", "not_values") for value in _strings(one.get(each))])
        return found, len(found) < len(entries)

    def _absence(self, path: str, *, negated: bool, what: str = "") -> None:
        """Where a request that does not have what is asked about may be judged otherwise than expected (Z9)."""
        asked = f"{path} ({what})" if what else path
        if negated and self._grants:
            self._note(
                f"{asked}: a request that has none matches in Istio and does not match here: it is not allowed by this"
            )
        elif not negated and self._action == "DENY":
            self._note(f"{asked}: a request that has none is not denied by this, in Istio and here")

    def _about(self, key: str, values: list[str]) -> None:
        """What the same words mean otherwise here."""
        if key in ("principals", "source.principal") and any("//cluster.local/" in value for value in values):
            self._report.note(
                "cluster.local: Istio reads it as the mesh's own trust domain, here it is the one of that name: "
                "write yours where it is another"
            )
        if key in ("ports", "destination.port", "destination.ip"):
            self._report.note(
                "ports and destination.*: in Istio of the workload, here of the gateway's own listener: adapt them"
            )
        if key == "request.headers[:authority]":
            self._report.note("request.headers[:authority]: the host is compared without its port here")

    def _source_keys(self) -> dict[str, Carry]:
        return {
            "principals": clauses.principal,
            "requestPrincipals": clauses.text,
            "namespaces": clauses.text,
            "serviceAccounts": clauses.service_account(self._resource.namespace),
            "trustDomains": clauses.trust_domain,
            "ipBlocks": clauses.block,
            "remoteIpBlocks": clauses.block,
        }


def _operation_keys() -> dict[str, Carry]:
    return {"hosts": clauses.host, "ports": clauses.port, "methods": clauses.method, "paths": clauses.path}


def _strings(values: object) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []


def _why_no_action(action: str) -> str:
    if action == "CUSTOM":
        return (
            "CUSTOM asks an external authoriser, which the gateway does not: what only that one refuses "
            "needs a rule of its own here"
        )
    return f'"{action}" is no action'
