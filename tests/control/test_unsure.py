"""Three-valued rules: an answer only where it holds whatever is missing."""

import pytest

from gateway.control.unsure import all_of, any_of, clause_needs, holds, needs_of
from gateway.model.route import Route
from gateway.stages.authorize import Action, ConditionSettings, Facts, Rule, RuleSettings, compile_rule
from tests.facts import context, principal, user


def rule(*conditions: ConditionSettings | str, **operation: tuple[str, ...]) -> Rule:
    operations = (operation,) if operation else ()
    return compile_rule(RuleSettings("r", Action.ALLOW, False, None, (), operations, conditions), {})


@pytest.mark.parametrize(
    ("key", "kind", "name"),
    [
        ("request.headers[X-A]", "header", "x-a"),
        ("request.auth.claims[a][b]", "claim", "a.b"),
        ("request.auth.audiences", "claim", "aud"),
        ("request.auth.presenter", "claim", "azp"),
        ("source.ip", "peer", "of the connection"),
        ("destination.ip", "destination", "of the connection"),
        ("connection.sni", "sni", "of the connection"),
    ],
)
def test_what_a_record_may_lack(key: str, kind: str, name: str) -> None:
    value = "10.0.0.1" if key.endswith(".ip") else "v"
    for condition in (ConditionSettings(key, (value,)), ConditionSettings(key, (), (value,))):
        ((needs,),) = [needs_of([rule(condition)]).values()]
        assert [(need.kind, need.name) for need in needs] == [(kind, name)]


@pytest.mark.parametrize("key", ["request.headers[host]", "remote.ip", "source.namespace", "request.auth.principal"])
def test_what_every_record_has(key: str) -> None:
    value = "10.0.0.1" if key.endswith(".ip") else "v"
    assert needs_of([rule(ConditionSettings(key, (value,)))]) == {}


def test_three_values() -> None:
    assert any_of([False, None, True]) is True
    assert any_of([False, None]) is None
    assert any_of([]) is False
    assert all_of([True, None, False]) is False
    assert all_of([True, None]) is None
    assert all_of([]) is True


def test_a_rule_is_unsure_only_where_it_hangs_on_what_is_missing() -> None:
    facts = Facts(context("/a"), Route("r", 0, False, None, ""), principal(None, user()), None)
    tenant = ConditionSettings("request.auth.claims[tenant]", ("acme",))
    for operation, value in (("GET", None), ("PUT", False)):
        judged = rule(tenant, methods=(operation,))
        missing = needs_of([judged])
        assert holds(judged, facts, missing) is value
        assert holds(judged, facts, {}) is False
    (clause,) = rule(tenant).groups[0][0]
    assert list(map(str, clause_needs(clause))) == ["the claim tenant"]


@pytest.mark.parametrize(
    ("expression", "needs"),
    [
        ('claims.org.tenant == request.headers["X-Tenant"]', ["the claim org.tenant", "the header x-tenant"]),
        ('request.method == "GET" && request.path.startsWith("/a") && workload.trust_domain == "a"', []),
        ('"read" in token.scopes && token.issuer == "corp"', ["the claim scope", "the claim scp"]),
        ('request.query.contains("a") || size(claims) > 1', ["the token its claims", "the request's query"]),
        (
            'workload.cert.subject == "a" || token.expires > request.time',
            ["the token expires", "the certificate subject"],
        ),
        ('device.managed && client.ip == "192.0.2.1" && route == "a"', ["the device managed"]),
        ('request.headers["host"] == "a"', []),
    ],
)
def test_what_an_expression_reads(expression: str, needs: list[str]) -> None:
    found = needs_of([rule(expression)])
    assert sorted(str(need) for each in found.values() for need in each) == sorted(needs)
