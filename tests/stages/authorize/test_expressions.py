"""CEL over a request: what it reads, what is absent, and what a failure means."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.kernel.cel import CelInvalid, Failure
from gateway.model.json import JSON
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.stages.authorize import Action, Facts, RuleSettings, compile_rule, judge
from gateway.stages.authorize.expressions import compile_expression, reads
from tests.facts import NOW, context, principal, user, workload
from tests.stages.authorize.test_clauses import ROUTE

NOBODY = principal()
ALICE = principal(None, user(tenant="acme", level=3, groups=["dev", "ops"], scope="a b", aud=["api", "web"]))
WEB = principal(workload())


def facts(
    who: Principal = ALICE,
    *,
    headers: Mapping[str, tuple[str, ...]] | None = None,
    device: dict[str, JSON] | None = None,
    query: str | None = None,
) -> Facts:
    posture = None if device is None else Posture("laptop-1", device, NOW)
    return Facts(replace(context("/a/b", headers=headers), query=query), ROUTE, who, posture)


def outcome(text: str, about: Facts) -> object:
    found = compile_expression(text).run(about)
    return found.message if isinstance(found, Failure) else found


@pytest.mark.parametrize(
    "text",
    [
        'request.method == "GET" && request.path.startsWith("/a/") && request.host == "api.example.com"',
        'request.time > timestamp("2026-01-01T00:00:00Z") && request.time < timestamp("2100-01-01T00:00:00Z")',
        "request.time == timestamp(1800000000)",
        'request.headers["X-Tenant"] == claims.tenant',
        'request.headers.host == "api.example.com" && request.headers[":path"] == "/a/b"',
        "has(request.headers['x-tenant']) && 'x-tenant' in request.headers && !has(request.headers.other)",
        'request.query == "x=1" && has(request.query)',
        'claims.level >= 3 && "dev" in claims.groups && claims["groups"][1] == "ops"',
        'token.issuer == "corp" && token.subject == "alice" && "b" in token.scopes && "web" in token.audiences',
        "token.expires > request.time",
        'client.ip == "203.0.113.9" && route == "r"',
        'device.disk_encrypted && device["os"].age <= 30',
        "size(workload) == 0 && workload == {} && !has(workload.id) && !has(workload.cert)",
        "size(claims) == 7 && 'sub' in claims && !('exp' in claims)",
        "size(request.headers) == 1 && size(device) == 2 && has(client.ip) && size(token) == 5",
    ],
)
def test_what_is_there_can_be_read(text: str) -> None:
    about = facts(headers={"x-tenant": ("acme",)}, device={"disk_encrypted": True, "os": {"age": 3}}, query="x=1")
    assert outcome(text, about) is True


@pytest.mark.parametrize(
    "text",
    [
        'workload.id == "spiffe://cluster.local/ns/default/sa/web" && workload.spiffe_id == workload.id',
        'workload.trust_domain == "cluster.local" && workload.path == "/ns/default/sa/web"',
        'workload.namespace == "default" && workload.service_account == "web"',
        'workload.cert.fingerprint == "f" && workload.cert.not_after > request.time && workload.cert.subject == ""',
        "workload.cert.dns_names == [] && has(workload.cert) && has(workload.cert.fingerprint)",
        "claims == {} && device == {} && token == {} && size(claims) == 0",
    ],
)
def test_a_workload_can_be_read_without_a_token(text: str) -> None:
    assert outcome(text, facts(WEB)) is True


def test_a_dns_identity_has_no_spiffe_id() -> None:
    about = facts(principal(workload("dns:a.example.com")))
    assert outcome('workload.id == "dns:a.example.com" && !has(workload.spiffe_id)', about) is True
    assert outcome('workload.path == "/"', about) == "workload.path is absent"
    assert outcome('workload.trust_domain == "x"', about) == "workload.trust_domain is absent"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('claims.tenant == "acme"', "claims.tenant is absent"),
        ('token.issuer == "corp"', "token.issuer is absent"),
        ('workload.id == "x"', "workload.id is absent"),
        ('workload.cert.fingerprint == "x"', "workload.cert.fingerprint is absent"),
        ("device.disk_encrypted", "device.disk_encrypted is absent"),
        ('request.query == ""', "request.query is absent"),
        ('request.headers["x-tenant"] == ""', 'request.headers["x-tenant"] is absent'),
        ('request.headers["x-twice"] == "a"', "the header x-twice stands more than once"),
    ],
)
def test_what_is_absent_is_a_failure(text: str, why: str) -> None:
    assert outcome(text, facts(NOBODY, headers={"x-twice": ("a", "a")})) == why
    assert outcome("has(request.headers['x-twice'])", facts(NOBODY, headers={"x-twice": ("a", "a")})) is True


@pytest.mark.parametrize(
    "text",
    [
        "request.header.x == 'a'",
        "request.headers[request.path] == 'a'",
        "claims[request.path] == 'a'",
        "request.headers['a b'] == 'a'",
        "request.headers[':status'] == 'a'",
        "request.method == 1",
        "route.name == 'r'",
        "workload.spiffe == 'x'",
        "now < request.time",
    ],
)
def test_what_is_never_there_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(CelInvalid):
        compile_expression(text)


def test_what_an_expression_reads_is_known() -> None:
    found = reads(
        compile_expression(
            "request.headers['X-A'] == claims.a.b && 'admin' in claims.roles && device.os > 3 && 's' in token.scopes"
            " && request.path == '/' && size(claims) > 0"
        )
    )
    assert found.headers == {"x-a"}
    assert found.claims == {("a", "b"), ("roles",), ("roles", "admin"), ("scope",), ("scp",)}
    assert found.facts == {"os"}


@pytest.mark.parametrize(
    ("action", "claims", "matched", "counted"),
    [
        (Action.ALLOW, {"ok": True}, True, 0),
        (Action.ALLOW, {"ok": False}, False, 0),
        (Action.ALLOW, {}, False, 1),
        (Action.ALLOW, {"ok": "true"}, False, 1),
        (Action.DENY, {"ok": True}, True, 0),
        (Action.DENY, {"ok": False}, False, 0),
        (Action.DENY, {}, True, 1),
        (Action.DENY, {"ok": 1}, True, 1),
        (Action.AUDIT, {}, True, 1),
    ],
)
def test_Z17_a_failure_never_allows_and_always_denies(
    action: Action, claims: dict[str, JSON], matched: bool, counted: int
) -> None:
    errors: list[None] = []
    rule = compile_rule(
        RuleSettings("r", action, False, None, conditions=("claims.ok",)), {}, lambda: errors.append(None)
    )
    assert rule.matches(facts(principal(None, replace(user(), claims=claims)))) is matched
    assert len(errors) == counted


def test_Z17_an_expression_that_does_not_compile_becomes_a_deny() -> None:
    rule = compile_rule(RuleSettings("r", Action.ALLOW, False, None, conditions=("claims.ok ==",)), {})
    assert (rule.action, rule.matches(facts())) == (Action.DENY, True)
    assert "a value is wanted (at 1:13 of the expression)" in str(rule.fault)


def test_a_rule_with_expressions_knows_what_it_reads() -> None:
    rule = compile_rule(
        RuleSettings("r", Action.ALLOW, False, None, conditions=("request.headers.a == claims.b", "device.c == 'x'")),
        {},
    )
    assert rule.headers == {"a"}
    assert rule.claims == {("b",)}
    assert rule.device == {"c"}


def test_every_part_of_an_expression_that_fails_is_told() -> None:
    text = "claims.level > 5 && claims.gone == 1 && request.method == 'GET'"
    (judged,) = judge([compile_rule(RuleSettings("r", Action.ALLOW, False, None, conditions=(text,)), {})], facts())
    assert judged.missing == (
        "when claims.level > 5 is false",
        "when claims.gone == 1 cannot be judged: claims.gone is absent",
    )


def test_a_deny_that_matches_for_a_failure_says_so() -> None:
    rule = compile_rule(RuleSettings("r", Action.DENY, False, None, conditions=("claims.gone == 1",)), {})
    (judged,) = judge([rule], facts())
    assert judged.matched
    assert judged.why == (
        "claims.gone == 1 cannot be judged: claims.gone is absent (at 1:8 of the expression), which counts as a match"
    )
