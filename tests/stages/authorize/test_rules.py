"""Rules: AND, OR, emptiness, and what does not compile (Z2, Z3, Z13)."""

from collections.abc import Mapping

import pytest

from gateway.stages.authorize import Action, ConditionSettings, Facts, Rule, RuleSettings, check_rule, compile_rule
from tests.facts import context, principal, user, workload
from tests.stages.authorize.test_clauses import ROUTE

Keys = Mapping[str, tuple[str, ...]]


def rule(
    *,
    action: Action = Action.ALLOW,
    from_: tuple[Keys, ...] = (),
    to: tuple[Keys, ...] = (),
    when: tuple[ConditionSettings, ...] = (),
) -> Rule:
    return compile_rule(RuleSettings("r", action, False, None, from_, to, when), {})


WEB = principal(workload("spiffe://cluster.local/ns/shop/sa/web"), user("alice", groups=["dev"]))


def facts(path: str = "/a", method: str = "GET") -> Facts:
    return Facts(context(path, method=method), ROUTE, WEB, None)


def test_Z2_a_rule_that_asks_nothing_matches_everything() -> None:
    assert rule().matches(facts())


@pytest.mark.parametrize(
    ("from_", "to", "matched"),
    [
        pytest.param(({"namespaces": ("shop",)},), ({"methods": ("GET",)},), True, id="Z3-from-and-to"),
        pytest.param(({"namespaces": ("shop",)},), ({"methods": ("PUT",)},), False, id="Z3-from-without-to"),
        pytest.param(({"namespaces": ("other",)},), ({"methods": ("GET",)},), False, id="Z3-to-without-from"),
        pytest.param(
            ({"namespaces": ("other",)}, {"trust_domains": ("cluster.local",)}), (), True, id="Z3-one-of-two-sources"
        ),
        pytest.param(
            ({"namespaces": ("shop",), "trust_domains": ("other",)},), (), False, id="Z3-keys-of-one-source-are-anded"
        ),
        pytest.param((), ({"methods": ("PUT", "GET")},), True, id="Z3-values-are-ored"),
        pytest.param((), ({"paths": ("/a",), "not_methods": ("GET",)},), False, id="Z4-x-and-not-x-are-anded"),
        pytest.param((), ({"paths": ("/b",)}, {"paths": ("/c",)}, {"paths": ("/a",)}), True, id="Z3-third-alternative"),
        pytest.param(
            ({"namespaces": ("shop",), "trust_domains": ("*",), "principals": ("*",), "issuers": ("corp",)},),
            (),
            True,
            id="Z3-four-keys",
        ),
    ],
)
def test_combinations(from_: tuple[Keys, ...], to: tuple[Keys, ...], matched: bool) -> None:
    assert rule(from_=from_, to=to).matches(facts()) is matched


def test_Z3_every_condition_must_hold() -> None:
    dev = ConditionSettings("request.auth.claims[groups]", ("dev",))
    get = ConditionSettings("request.headers[:method]", ("GET",), ("PUT",))
    assert rule(when=(dev, get)).matches(facts())
    assert not rule(when=(dev, get)).matches(facts(method="PUT"))


BROKEN = [
    pytest.param({"from_": ({},)}, id="Z2-from-that-asks-nothing"),
    pytest.param({"from_": ({"principals": ("cluster.local/ns/a",)},)}, id="Z13-principal-not-whole"),
    pytest.param({"to": ({"paths": ("a*b*",)},)}, id="Z13-two-stars"),
    pytest.param({"when": (ConditionSettings("request.time", ("x",)),)}, id="Z13-unknown-key"),
    pytest.param({"when": (ConditionSettings("request.auth.claims", ("x",)),)}, id="Z13-claim-without-a-name"),
    pytest.param({"when": (ConditionSettings("request.headers[x]"),)}, id="Z2-condition-without-values"),
    pytest.param({"when": (ConditionSettings("request.headers[x", ("x",)),)}, id="Z13-open-bracket"),
]


@pytest.mark.parametrize("keys", BROKEN)
@pytest.mark.parametrize("action", [Action.ALLOW, Action.DENY])
def test_what_does_not_compile_denies_and_names_itself(keys: dict[str, tuple[Keys, ...]], action: Action) -> None:
    compiled = rule(action=action, **keys)  # type: ignore[arg-type]
    assert compiled.action is Action.DENY
    assert compiled.fault
    assert compiled.matches(facts())


def test_check_rule_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="whole"):
        check_rule(RuleSettings("r", Action.ALLOW, False, None, ({"principals": ("x",)},)))


def test_a_rule_knows_what_it_reads() -> None:
    compiled = rule(
        when=(
            ConditionSettings("request.headers[X-Tenant]", ("a",)),
            ConditionSettings("request.auth.claims[realm][roles]", (), ("b",)),
            ConditionSettings("request.auth.audiences", ("c",)),
        )
    )
    assert compiled.headers == {"x-tenant"}
    assert compiled.claims == {("realm", "roles"), ("aud",)}
