"""Istio's golden files: our rules mean what Envoy's RBAC, made of the same policy, means.

The `-out` side is run by a small reading of Envoy's RBAC, the `-in` side is compiled here; absence apart they agree.
"""

import itertools
import random
import re
from ipaddress import ip_network
from typing import Any

import pytest
import yaml

from gateway.stages.authorize import Action, ConditionSettings, Facts, Rule, RuleSettings, compile_rule
from tests.conformance import vectors
from tests.facts import connection, context, principal, user, workload
from tests.stages.authorize.test_clauses import ROUTE

_FIELDS = {
    "principals": "principals", "namespaces": "namespaces", "requestPrincipals": "request_principals",
    "ipBlocks": "ip_blocks", "remoteIpBlocks": "remote_ip_blocks", "hosts": "hosts", "methods": "methods",
    "paths": "paths", "ports": "ports",
}  # fmt: skip
_TRUST_DOMAIN = "spiffe://"


def translate(policy: dict[str, Any], index: int) -> list[Rule]:
    """An AuthorizationPolicy as rules of ours: principals whole, `notX` as `not_x`."""
    spec = policy["spec"]
    action = Action(spec.get("action", "ALLOW").lower())
    rules = []
    for number, rule in enumerate(spec.get("rules", [])):
        sources = tuple(_keys(each["source"]) for each in rule.get("from", []))
        operations = tuple(_keys(each["operation"]) for each in rule.get("to", []))
        when = tuple(
            ConditionSettings(each["key"], tuple(each.get("values", ())), tuple(each.get("notValues", ())))
            for each in rule.get("when", [])
        )
        compiled = compile_rule(RuleSettings(f"{index}.{number}", action, False, None, sources, operations, when), {})
        assert compiled.fault is None, compiled.fault
        rules.append(compiled)
    return rules


def _keys(mapping: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    keys = {}
    for name, values in mapping.items():
        negated = name.startswith("not")
        plain = _FIELDS[name[3].lower() + name[4:] if negated else name]
        whole = [f"{_TRUST_DOMAIN}{v}" if plain == "principals" and not v.startswith("*") else v for v in values]
        keys[f"not_{plain}" if negated else plain] = tuple(whole)
    return keys


def envoy(node: dict[str, Any], facts: Facts) -> bool:
    """One permission or principal of Envoy's RBAC."""
    ((kind, value),) = ((k, v) for k, v in node.items() if k != "name")
    match kind:
        case "any":
            return True
        case "andRules" | "andIds":
            return all(envoy(each, facts) for each in value.get("rules", value.get("ids")))
        case "orRules" | "orIds":
            return any(envoy(each, facts) for each in value.get("rules", value.get("ids")))
        case "notRule" | "notId":
            return not envoy(value, facts)
        case "header":
            pseudo = {":method": facts.method, ":authority": facts.ctx.host}
            found = pseudo.get(value["name"]) or next(iter(facts.ctx.header(value["name"].lower())), None)
            return found is not None and (
                bool(found) if value.get("presentMatch") else text(value["stringMatch"], found)
            )
        case "urlPath":
            return text(value["path"], facts.path)
        case "uriTemplate":
            wanted = re.escape(value["typedConfig"]["pathTemplate"])
            return re.fullmatch(wanted.replace(r"\*\*", ".*").replace(r"\*", "[^/]+"), facts.path) is not None
        case "destinationPort":
            return facts.ctx.connection.local_port == int(value)
        case "directRemoteIp":
            return _inside(facts.ctx.connection.peer_ip, value)
        case "remoteIp":
            return _inside(facts.ctx.client_ip, value)
        case "authenticated":
            held = facts.principal.workload
            return held is not None and text(value["principalName"], held.id)
        case "metadata":
            claims = facts.principal.user.claims if facts.principal.user is not None else {}
            claim = claims.get(value["path"][-1]["key"])
            return isinstance(claim, str) and text(value["value"]["stringMatch"], claim)
    raise AssertionError(kind)


def text(match: dict[str, Any], value: str) -> bool:
    """Envoy's StringMatcher."""
    if "safeRegex" in match:
        return re.fullmatch(match["safeRegex"]["regex"], value) is not None
    fold = str.lower if match.get("ignoreCase") else str
    if "exact" in match:
        return fold(value) == fold(match["exact"])
    if "prefix" in match:
        return fold(value).startswith(fold(match["prefix"]))
    return fold(value).endswith(fold(match["suffix"]))


def _inside(address: Any, block: dict[str, Any]) -> bool:
    return address in ip_network(f"{block['addressPrefix']}/{block['prefixLen']}")


def requests_over(policies: list[dict[str, Any]], count: int) -> list[Facts]:
    """Requests over the very values that the policies name, and some others."""
    named: dict[str, list[str]] = {}
    for rule in itertools.chain.from_iterable(policy["spec"].get("rules", []) for policy in policies):
        sides = [each["source"] for each in rule.get("from", [])] + [each["operation"] for each in rule.get("to", [])]
        for name, values in itertools.chain.from_iterable(side.items() for side in sides):
            named.setdefault(name.removeprefix("not").lower(), []).extend(values)
        for each in rule.get("when", []):
            named.setdefault("header", []).extend(each["values"] if "headers" in each["key"] else [])
    chance = random.Random(7)

    def pick(key: str, *others: str) -> str:
        value = chance.choice([*named.get(key, []), *others])
        filled = value.replace("{**}", "a/b").replace("{*}", "a")
        return filled.replace("*", chance.choice(["", "x"])) or "x"

    requests = []
    for _ in range(count):
        account = pick("principals", "other", f"td/ns/{pick('namespaces', 'n')}/sa/a")
        address = pick("ipblocks", "10.9.9.9").partition("/")[0]
        ctx = context(
            pick("paths", "/other", "/path/template/a/b"),
            method=pick("methods", "PUT"),
            host=pick("hosts", "other.example").lower(),
            headers={"x-abc": (pick("header", "other"),)},
            over=connection(peer=address),
            client_ip=pick("remoteipblocks", "10.9.9.9").partition("/")[0],
        )
        who = workload(f"{_TRUST_DOMAIN}{account}")
        requests.append(Facts(ctx, ROUTE, principal(who, user("alice")), None))
    return requests


@pytest.mark.parametrize(
    ("source", "outs"),
    [
        ("allow-path", ["allow-path-out"]),
        ("allow-empty-rule", ["allow-empty-rule-out"]),
        ("deny-empty-rule", ["deny-empty-rule-out"]),
        ("allow-nil-rule", ["allow-nil-rule-out"]),
        ("multiple-policies", ["multiple-policies-out"]),
        ("deny-and-allow", ["deny-and-allow-out1", "deny-and-allow-out2"]),
    ],
)
def test_Z3_our_rules_mean_what_envoys_mean(source: str, outs: list[str]) -> None:
    folder = vectors("authz/istio-golden")
    policies = [each for each in yaml.safe_load_all((folder / f"{source}-in.yaml").read_text()) if each]
    ours = [rule for index, policy in enumerate(policies) for rule in translate(policy, index)]
    theirs: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for out in outs:
        rules = yaml.safe_load((folder / f"{out}.yaml").read_text())["typedConfig"]["rules"]
        theirs[rules.get("action") == "DENY"] += rules["policies"].values()
    matched = 0
    for facts in requests_over(policies, 400):
        for deny, groups in theirs.items():
            said = any(rule.matches(facts) for rule in ours if (rule.action is Action.DENY) is deny)
            expected = any(
                any(envoy(each, facts) for each in group["permissions"])
                and any(envoy(each, facts) for each in group["principals"])
                for group in groups
            )
            assert said == expected, (facts.path, facts.principal.workload)
            matched += said
    assert matched or source in ("allow-nil-rule", "allow-path")  # `notPaths: ["*"]` leaves nothing to allow
