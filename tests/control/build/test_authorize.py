"""Policies and rules of the file into the authorize stage."""

from pathlib import Path

import pytest

from gateway.control.build.authorize import build_authorize, build_inputs
from gateway.model.permit import Permit
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import Preflight
from gateway.model.route import Route
from gateway.stages.authorize import Authorize
from tests.control.policy_config import config
from tests.facts import connection, context, principal, user, workload

POLICIES = """
- name: outside
  action: deny
  routes: ["in*"]
  rules:
    - to: {paths: ["/admin/*"]}
      from: {not_ip_blocks: [10.0.0.0/8]}
- name: only-inner
  action: deny
  listeners: [inner]
  rules: [{name: never, to: {methods: [DELETE]}}]
- {name: seen, action: audit, rules: [{from: {principals: ["*"]}}]}
- {name: trial, action: deny, mode: shadow, rules: [{name: all, to: {methods: [GET]}}]}
"""
ROUTES = """
- name: inventory
  match: {paths: ["/*"]}
  upstream: api
  requires: {scopes: ["inventory:read"]}
  deny: [{from: {principals: ["spiffe://cluster.local/ns/legacy/*"]}}]
  allow:
    - {name: readers, from: {request_principals: ["*"]}, to: {methods: [GET]}}
    - from: [{issuers: [corp]}, {namespaces: [x]}]
      to: {ports: [8443]}
      when:
        - {key: "request.auth.claims[groups]", values: [writers]}
        - {key: "request.headers[X-Tenant]", not_values: [evil]}
    - {name: draft, mode: shadow, from: {request_principals: ["*"]}}
  cors: {origins: ["https://app.example.com"]}
- {name: open, match: {paths: ["/open"]}, public: true, respond: {}}
"""
INNER = 'inner: {address: "127.0.0.1:8444"}'


@pytest.fixture
def stage(tmp_path: Path) -> Authorize:
    return build_authorize(config(tmp_path, routes=ROUTES, policies=POLICIES, listeners=INNER))


def decide(
    stage: Authorize,
    who: Principal,
    *,
    method: str = "GET",
    path: str = "/api",
    listener: str = "edge",
    tenant: str | None = None,
) -> tuple[str, str | None]:
    headers = {"x-tenant": (tenant,)} if tenant is not None else {}
    ctx = context(path, method=method, headers=headers, over=connection(listener=listener))
    try:
        permit = stage(ctx, Route("inventory", 0, False, None, ""), who, None)
    except Refused as refused:
        return refused.reason.code, refused.rule
    assert isinstance(permit, Permit)
    return "allow", permit.rule


ALICE = principal(None, user("alice", scope="inventory:read", groups=["writers"]))


def test_named_and_unnamed_rules_decide_under_their_names(stage: Authorize) -> None:
    assert decide(stage, ALICE) == ("allow", "readers")
    assert decide(stage, ALICE, path="/admin/x") == ("denied_by_rule", "outside[0]")
    assert decide(stage, ALICE, method="PUT", tenant="good") == ("allow", "inventory.allow[1]")
    assert decide(stage, ALICE, method="PUT", tenant="evil") == ("no_rule_allows", None)
    assert decide(stage, ALICE, method="PUT") == ("no_rule_allows", None)  # absent: a negated ALLOW does not match
    legacy = principal(workload("spiffe://cluster.local/ns/legacy/sa/x"), ALICE.user)
    assert decide(stage, legacy) == ("denied_by_rule", "inventory.deny[0]")
    assert decide(stage, principal(None, user("bob"))) == ("scope_missing", None)


def test_policies_stand_over_the_listeners_and_routes_that_they_name(stage: Authorize) -> None:
    assert decide(stage, ALICE, method="DELETE", listener="inner", tenant="a") == ("denied_by_rule", "never")
    assert decide(stage, ALICE, method="DELETE", tenant="a") == ("allow", "inventory.allow[1]")
    on_open = stage.rules(Route("open", 1, True, None, ""), "edge")
    assert [rule.name for rule in on_open] == ["seen[0]", "all"]


def test_rules_that_ask_the_same_are_compiled_once_and_keep_their_names_and_places(tmp_path: Path) -> None:
    routes = """
    - {name: a, match: {paths: ["/a"]}, respond: {}, allow: [{to: {methods: [GET]}}]}
    - {name: b, match: {paths: ["/b"]}, respond: {}, allow: [{name: reads, to: {methods: [GET]}}]}
    - {name: c, match: {paths: ["/c"]}, respond: {}, deny: [{to: {methods: [GET]}}]}
    - {name: d, match: {paths: ["/d"]}, respond: {}, allow: [{to: {not_methods: [GET]}}]}
    """
    stage = build_authorize(config(tmp_path, routes=routes))
    rules = [stage.rules(Route(name, index, False, None, ""), "edge")[0] for index, name in enumerate("abcd")]
    assert [rule.name for rule in rules] == ["a.allow[0]", "reads", "c.deny[0]", "d.allow[0]"]
    assert len({rule.where.line for rule in rules if rule.where is not None}) == 4
    assert rules[0].groups is rules[1].groups
    assert len({id(rule.groups) for rule in rules}) == 3
    for index in (0, 1):
        assert stage(context("/x"), Route("x", index, False, None, ""), ALICE, None).rule == rules[index].name
    for index, reason in ((2, Reason.DENIED_BY_RULE), (3, Reason.NO_RULE_ALLOWS)):
        with pytest.raises(Refused) as refused:
            stage(context("/x"), Route("x", index, False, None, ""), ALICE, None)
        assert refused.value.reason is reason


def test_no_route_and_a_route_without_rules_let_nobody_through(tmp_path: Path) -> None:
    stage = build_authorize(config(tmp_path, routes=ROUTES, policies=POLICIES, listeners=INNER))
    with pytest.raises(Refused) as refused:
        stage(context("/x"), Route("none", -1, False, None, ""), ALICE, None)
    assert refused.value.reason is Reason.NO_RULE_ALLOWS


def test_audit_and_shadow_are_told_and_decide_nothing(stage: Authorize) -> None:
    permit = stage(context("/api"), Route("inventory", 0, False, None, ""), principal(workload(), ALICE.user), None)
    assert permit.audited == ("seen[0]",)
    assert [shadow.name for shadow in permit.shadows] == ["all", "draft"]


def test_preflights_are_judged_by_cors(stage: Authorize) -> None:
    asking = context(method="OPTIONS", preflight=Preflight("https://app.example.com", "PUT", ()))
    assert stage.preflight(asking, Route("inventory", 0, False, None, "")).rule is None
    with pytest.raises(Refused) as refused:
        stage.preflight(asking, Route("open", 1, True, None, ""))
    assert refused.value.reason is Reason.CORS_REFUSED


def test_the_record_may_show_what_the_rules_read_and_no_more(tmp_path: Path) -> None:
    inputs = build_inputs(config(tmp_path, routes=ROUTES, policies=POLICIES, listeners=INNER))
    assert inputs[0].headers == {"x-tenant"}
    assert inputs[0].claims == {("groups",), ("scope",), ("scp",)}
    assert (inputs[1].headers, inputs[1].claims) == (frozenset(), frozenset())
