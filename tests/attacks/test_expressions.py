"""Ways around expressions: from the file to the verdict, through the stages that serve."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model.json import JSON
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authorize import Action, Authorize, RuleSettings, compile_rule, route_rules
from tests.attacks.test_rules import ask
from tests.facts import context, principal, user
from tests.stages.authorize.test_clauses import ROUTE

TENANT = """[{when: ['request.headers["x-tenant"] == claims.tenant']}]"""


@pytest.mark.parametrize(
    ("claims", "headers", "reason"),
    [
        pytest.param({"tenant": "acme"}, (("x-tenant", "acme"),), None, id="accept-the-same"),
        pytest.param({"tenant": "acme"}, (("x-tenant", "evil"),), Reason.NO_RULE_ALLOWS, id="Z17-another"),
        pytest.param({"tenant": "acme"}, (), Reason.NO_RULE_ALLOWS, id="Z9-no-header"),
        pytest.param({}, (("x-tenant", ""),), Reason.NO_RULE_ALLOWS, id="Z9-no-claim"),
        pytest.param({"tenant": None}, (("x-tenant", "null"),), Reason.NO_RULE_ALLOWS, id="Z7-null-claim"),
        pytest.param({"tenant": 1}, (("x-tenant", "1"),), Reason.NO_RULE_ALLOWS, id="Z7-number-is-no-string"),
        pytest.param({"tenant": ["acme"]}, (("x-tenant", "acme"),), Reason.NO_RULE_ALLOWS, id="Z7-list-is-no-string"),
        pytest.param(
            {"tenant": "acme"}, (("x-tenant", "acme"), ("X-Tenant", "acme")), Reason.NO_RULE_ALLOWS, id="H17-twice"
        ),
        pytest.param(
            {"tenant": "a, b"}, (("x-tenant", "a"), ("x-tenant", "b")), Reason.NO_RULE_ALLOWS, id="H17-joined"
        ),
    ],
)  # fmt: skip
async def test_a_tenant_is_the_claims_or_nothing(
    tmp_path: Path, claims: dict[str, JSON], headers: tuple[tuple[str, str], ...], reason: Reason | None
) -> None:
    verdict = await ask(tmp_path, allow=TENANT, claims={"sub": "alice", **claims}, headers=headers)
    assert verdict.reason is reason


@pytest.mark.parametrize(
    ("claims", "headers"),
    [
        pytest.param({}, (("x-role", "user"),), id="Z9-deny-on-an-absent-claim"),
        pytest.param({"blocked": "false"}, (("x-role", "user"),), id="Z17-deny-on-a-wrong-type"),
        pytest.param({"blocked": False}, (("x-role", "user"), ("x-role", "admin")), id="H17-deny-on-a-repeat"),
        pytest.param({"blocked": True}, (("x-role", "user"),), id="Z1-deny"),
    ],
)
async def test_a_deny_that_cannot_be_judged_denies(
    tmp_path: Path, claims: dict[str, JSON], headers: tuple[tuple[str, str], ...]
) -> None:
    deny = "[{when: ['claims.blocked']}, {when: ['request.headers[\"x-role\"] == \"admin\"']}]"
    verdict = await ask(tmp_path, deny=deny, claims={"sub": "alice", **claims}, headers=headers)
    assert verdict.reason is Reason.DENIED_BY_RULE
    accepted = await ask(tmp_path, deny=deny, claims={"sub": "alice", "blocked": False}, headers=(("x-role", "user"),))
    assert accepted.reason is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abk"), inner, max_size=3),
    max_leaves=5,
)
EXPRESSIONS = st.sampled_from(
    [
        "claims.a == claims.b", "claims.a < claims.b", "claims.a + claims.b == claims.a", "claims.a in claims.b",
        "claims.a.k == 1", "claims.a[0] == 'x'", "claims.a.exists(x, x == claims.b)", "claims.a.all(x, x > 1)",
        "claims.a.startsWith(claims.b)", "size(claims.a) > 1", "int(claims.a) > 1", "double(claims.a) > 1.0",
        "string(claims.a) == 'x'", "timestamp(claims.a) < request.time", "duration(claims.a) > duration('1s')",
        "!claims.a", "claims.a ? claims.b : true", "claims.a % claims.b == 0", "-claims.a > 0", "claims.a || claims.b",
        "has(claims.a.k)", "[claims.a] == [claims.b]", "request.time.getHours(claims.a) == 1", "bool(claims.a)",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EXPRESSIONS, VALUES, VALUES)
def test_Z17_whatever_a_token_holds_an_expression_is_judged_and_its_deny_is_no_narrower_than_its_allow(
    text: str, a: JSON, b: JSON
) -> None:
    who = principal(None, user(a=a, b=b))

    def refused(action: Action) -> bool:
        rules = [compile_rule(RuleSettings("r", action, False, None, conditions=(text,)), {})]
        if action is Action.DENY:
            rules.append(compile_rule(RuleSettings("all", Action.ALLOW, False, None), {}))
        stage = Authorize({(0, "edge"): route_rules([], rules, public=False)}, {}, {})
        try:
            stage(context(), ROUTE, who, None)
        except Refused:
            return True
        return False

    allowed, denied = not refused(Action.ALLOW), refused(Action.DENY)
    assert denied or not allowed  # what an ALLOW takes for true a DENY takes for true as well
