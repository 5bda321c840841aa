"""AuthorizationPolicy: carried values, what is lost and where, and the same verdicts as Envoy's RBAC."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.control.build.authorize import rule_settings
from gateway.stages.authorize import Action, Rule, compile_rule
from tests.conformance import vectors
from tests.convert.merging import imported, lines, merged
from tests.stages.authorize.test_istio_golden import envoy, requests_over

HEAD = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: foo}\n"


def policy(spec: str) -> str:
    return f"{HEAD}spec:\n  {spec}\n"


def rules_of(folder: Path, spec: str) -> list[Any]:
    found = imported(folder, policy(spec), routes=("all",))
    merged(folder, found)
    policies: Any = found.config.get("policies", [])
    return [rule for each in policies for rule in each["rules"]]


CLAIM = "request.auth.claims[a][b]"


def condition(**keys: Any) -> dict[str, Any]:
    return {"when": [keys]}


def side(key: str, **keys: list[Any]) -> dict[str, Any]:
    return {key: keys}


@pytest.mark.parametrize(
    ("asked", "carried"),
    [
        ('from: [{source: {principals: ["td/ns/a/sa/b"]}}]', side("from", principals=["spiffe://td/ns/a/sa/b"])),
        ('from: [{source: {principals: ["td/*", "*/sa/b"]}}]', side("from", principals=["spiffe://td/*", "*/sa/b"])),
        ('from: [{source: {notPrincipals: ["td/x"]}}]', side("from", not_principals=["spiffe://td/x"])),
        ('from: [{source: {requestPrincipals: ["https://i/*"]}}]', side("from", request_principals=["https://i/*"])),
        ('from: [{source: {serviceAccounts: ["a/b", "c"]}}]', side("from", service_accounts=["a/b", "foo/c"])),
        ('from: [{source: {namespaces: [n], trustDomains: [t]}}]', side("from", namespaces=["n"], trust_domains=["t"])),
        ('from: [{source: {ipBlocks: ["10.1.2.3/8", "1.2.3.4"]}}]', side("from", ip_blocks=["10.0.0.0/8", "1.2.3.4"])),
        ('from: [{source: {remoteIpBlocks: ["2001:db8::/32"]}}]', side("from", remote_ip_blocks=["2001:db8::/32"])),
        ('to: [{operation: {hosts: ["*.a.ex"], notPorts: ["80"]}}]', side("to", hosts=["*.a.ex"], not_ports=[80])),
        ('to: [{operation: {methods: [GET, "P*T"]}}]', side("to", methods=["GET"])),
        ('to: [{operation: {methods: ["PU*"]}}]', side("to", methods=["PURGE", "PUT"])),
        ('to: [{operation: {paths: ["/a/{*}/b", "/c*"]}}]', side("to", paths=["/a/{*}/b", "/c*"])),
        ('when: [{key: source.principal, values: ["td/ns/a/sa/b"]}]', condition(key="source.principal", values=["spiffe://td/ns/a/sa/b"])),
        ('when: [{key: "request.auth.claims[a][b]", notValues: [x]}]', condition(key=CLAIM, not_values=["x"])),
        ('when: [{key: source.serviceAccount, values: [b]}]', condition(key="source.serviceAccount", values=["foo/b"])),
        ('when: [{key: destination.port, values: ["91"]}]', condition(key="destination.port", values=["91"])),
    ],
)  # fmt: skip
def test_Z6_values_are_carried_as_we_write_them(folder: Path, asked: str, carried: dict[str, Any]) -> None:
    rules = rules_of(folder, f"rules: [{{{asked}}}]")
    assert rules == [carried]


@pytest.mark.parametrize(
    ("spec", "rules", "said"),
    [
        pytest.param("action: ALLOW", [], 0, id="Z2-no-rules-match-nothing"),
        pytest.param("rules: null", [], 0, id="Z2-null-is-absent"),
        pytest.param("rules: []", [], 1, id="Z2-empty-list-is-said"),
        pytest.param("rules: [{}]", [{}], 0, id="Z2-one-empty-rule-matches-all"),
        pytest.param("rules: [{from: []}]", [], 2, id="Z2-empty-from-never-becomes-all"),
        pytest.param("{action: DENY, rules: [{from: []}]}", [{}], 1, id="Z2-empty-from-of-a-deny-denies-more"),
    ],
)
def test_emptiness_is_kept_apart(folder: Path, spec: str, rules: list[Any], said: int) -> None:
    found = imported(folder, policy(spec) if not spec.startswith("{") else f"{HEAD}spec: {spec}\n", routes=("all",))
    policies: Any = found.config.get("policies", [])
    assert [rule for each in policies for rule in each["rules"]] == rules
    assert len(found.not_carried) == said, lines(found)
    merged(folder, found)


@pytest.mark.parametrize(
    ("source", "allows", "denies"),
    [
        pytest.param("{principals: [a, spiffe://b/c]}", {"from": {"principals": ["spiffe://a"]}}, {}, id="Z13-value"),
        pytest.param("{notPrincipals: [a, spiffe://b/c]}", None, side("from", not_principals=["spiffe://a"]), id="Z13"),
        pytest.param("{namespaces: [a], weather: [b]}", None, {"from": {"namespaces": ["a"]}}, id="Z13-unknown-key"),
        pytest.param("{namespaces: []}", None, {}, id="Z2-empty-values"),
        pytest.param('{ipBlocks: ["a.b.c.d"]}', None, {}, id="Z13-block"),
        pytest.param("{serviceAccounts: [a/b], namespaces: [c]}", None, {}, id="Z12-beside-namespaces"),
        pytest.param('{serviceAccounts: ["a/*"]}', None, {}, id="Z12-star"),
    ],
)  # fmt: skip
def test_what_is_lost_never_allows_more(folder: Path, source: str, allows: Any, denies: Any) -> None:
    for action, rule in (("ALLOW", allows), ("DENY", denies)):
        found = imported(folder, f"{HEAD}spec: {{action: {action}, rules: [{{from: [{{source: {source}}}]}}]}}\n")
        policies: Any = found.config.get("policies", [])
        assert [each for one in policies for each in one["rules"]] == ([] if rule is None else [rule]), action
        assert found.not_carried
        merged(folder, found)


def test_a_lost_condition_leaves_an_allow_rule_in_shadow_and_a_deny_rule_wider(folder: Path) -> None:
    rule = "{from: [{source: {namespaces: [a]}}], when: [{key: source.user, values: [x]}]}"
    allow = imported(folder, f"{HEAD}spec: {{rules: [{rule}]}}\n", routes=("all",))
    assert allow.config["policies"] == [
        {
            "name": "p",
            "action": "allow",
            "routes": ["all"],
            "rules": [{"mode": "shadow", "from": {"namespaces": ["a"]}}],
        }
    ]
    head = "not carried: AuthorizationPolicy/p spec.rules[0]"
    why = "the rule is in shadow, which never allows: without what is lost it would allow more"
    assert lines(allow) == [
        f"in.yaml:4:16: {head}: {why}",
        f'in.yaml:4:62: {head}.when[0].key: "source.user" is no attribute that a condition can ask for',
    ]
    deny = imported(folder, f"{HEAD}spec: {{action: DENY, rules: [{rule}]}}\n", routes=("all",))
    assert deny.config["policies"] == [
        {"name": "p", "action": "deny", "routes": ["all"], "rules": [{"from": {"namespaces": ["a"]}}]}
    ]
    merged(folder, allow)
    merged(folder, deny)


def test_a_selector_is_said_unless_routes_stand_for_it(folder: Path) -> None:
    text = policy("{selector: {matchLabels: {app: a}}, rules: [{}]}").replace("spec:\n  {", "spec: {")
    assert [lost.path for lost in imported(folder, text).not_carried] == ["spec.selector"]
    assert imported(folder, text, routes=("all",)).not_carried == ()


def test_Z1_custom_and_unknown_actions_are_not_carried(folder: Path) -> None:
    for action in ("CUSTOM", "WHATEVER"):
        found = imported(folder, f"{HEAD}spec: {{action: {action}, rules: [{{}}]}}\n")
        assert "policies" not in found.config
        assert [lost.path for lost in found.not_carried] == ["spec"]


@pytest.mark.parametrize(("value", "mode"), [('"true"', "shadow"), ('"false"', None), ('"maybe"', None)])
def test_Z19_dry_run_is_shadow(folder: Path, value: str, mode: str | None) -> None:
    head = HEAD.replace("namespace: foo", f"namespace: foo, annotations: {{istio.io/dry-run: {value}}}")
    found = imported(folder, f"{head}spec: {{rules: [{{}}]}}\n")
    policies: Any = found.config["policies"]
    assert policies[0].get("mode") == mode
    assert bool(found.not_carried) is (value == '"maybe"')
    merged(folder, found)


@pytest.mark.parametrize(
    ("action", "key", "said"),
    [
        pytest.param("ALLOW", "notRequestPrincipals", "does not match here", id="Z9-allow-not"),
        pytest.param("DENY", "requestPrincipals", "is not denied by this", id="Z9-deny-positive"),
        pytest.param("ALLOW", "requestPrincipals", None, id="Z9-allow-positive"),
        pytest.param("DENY", "notRequestPrincipals", None, id="Z9-deny-not"),
    ],
)
def test_absence_is_explained_where_it_matters(folder: Path, action: str, key: str, said: str | None) -> None:
    text = f"{HEAD}spec: {{action: {action}, rules: [{{from: [{{source: {{{key}: [a/b]}}}}]}}]}}\n"
    notes = [note for note in imported(folder, text).notes if "that has none" in note]
    assert len(notes) == (said is not None)
    assert said is None or said in notes[0]


def test_the_missing_default_allow_is_explained(folder: Path) -> None:
    assert any("no default allow" in note for note in imported(folder, policy("rules: [{}]")).notes)


_SAME = {
    "allow-path": ["allow-path-out"], "allow-empty-rule": ["allow-empty-rule-out"],
    "deny-empty-rule": ["deny-empty-rule-out"], "allow-nil-rule": ["allow-nil-rule-out"],
    "multiple-policies": ["multiple-policies-out"], "deny-and-allow": ["deny-and-allow-out1", "deny-and-allow-out2"],
    "simple-policy-principal-with-wildcard": ["simple-policy-principal-with-wildcard-out"],
    "td-aliases-source-principal": [], "allow-host-before-111": [],
}  # fmt: skip


@pytest.mark.parametrize("source", [name for name, outs in _SAME.items() if outs])
def test_Z3_an_imported_policy_decides_as_envoy_does(folder: Path, source: str) -> None:
    golden = vectors("authz/istio-golden")
    text = (golden / f"{source}-in.yaml").read_text()
    config = merged(folder, imported(folder, text, routes=("all",)))
    ours: list[Rule] = [
        compile_rule(rule_settings(rule, Action(each.action), shadow=each.mode == "shadow"), {})
        for each in config.policies
        for rule in each.rules
    ]
    theirs: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for out in _SAME[source]:
        rules = yaml.safe_load((golden / f"{out}.yaml").read_text())["typedConfig"]["rules"]
        theirs[rules.get("action") == "DENY"] += rules["policies"].values()
    for facts in requests_over([each for each in yaml.safe_load_all(text) if each], 300):
        for deny, groups in theirs.items():
            said = any(rule.matches(facts) for rule in ours if (rule.action is Action.DENY) is deny)
            expected = any(
                any(envoy(each, facts) for each in group["permissions"])
                and any(envoy(each, facts) for each in group["principals"])
                for group in groups
            )
            assert said == expected, (facts.path, facts.principal.workload)


def test_every_golden_policy_loads_once_imported(folder: Path) -> None:
    files = sorted(vectors("authz/istio-golden").glob("*-in.yaml"))
    assert len(files) > 15
    for file in files:
        merged(folder, imported(folder, file.read_text(), routes=("all",)))


def test_Z13_what_istio_refuses_does_not_load(folder: Path) -> None:
    found = imported(folder, (vectors("authz/istio-golden") / "crd-authz-invalid.yaml").read_text())
    assert found.config == {}
    assert {lost.resource for lost in found.not_carried} == {
        "AuthorizationPolicy/service-account-and-namespace",
        "AuthorizationPolicy/service-account-and-namespace-principal",
    }


def test_what_istio_accepts_is_carried_but_for_what_has_no_equal(folder: Path) -> None:
    found = imported(folder, (vectors("authz/istio-golden") / "crd-authz-valid.yaml").read_text(), routes=("all",))
    config = merged(folder, found)
    full = next(each for each in config.policies if each.name == "full").rules[0]
    assert full.mode == "shadow"  # a condition on Envoy's own metadata is lost
    assert "spiffe://principal-prefix-*" in full.from_[0].principals
    assert len(full.when) == 14


def _conditions(config: Any) -> list[dict[str, Any]]:
    return [when for policy in config.get("policies", []) for rule in policy["rules"] for when in rule.get("when", [])]


def test_Z7_conditions_are_valid_where_istios_are(folder: Path) -> None:
    table = json.loads(vectors("authz/istio_matcher_tables.json").read_text())
    for row in table["when_condition_validity"]:
        when = json.dumps({"key": row["key"], "values": row["values"]})
        found = imported(folder, f"{HEAD}spec: {{rules: [{{when: [{when}]}}]}}\n", routes=("all",))
        merged(folder, found)
        carried = row["valid"] and not row["key"].startswith("experimental.")
        assert bool(found.not_carried) is not carried, (row, lines(found))
        assert carried or row["values"] not in [each.get("values") for each in _conditions(found.config)]


def test_Z11_templates_are_valid_where_istios_are(folder: Path) -> None:
    table = json.loads(vectors("authz/istio_matcher_tables.json").read_text())
    for row in table["path_template_validity"]:
        rule = json.dumps({"to": [{"operation": {"paths": [row["path"]]}}]})
        found = imported(folder, f"{HEAD}spec: {{rules: [{rule}]}}\n", routes=("all",))
        merged(folder, found)
        assert row["valid"] or "policies" not in found.config, row
