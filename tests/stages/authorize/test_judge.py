"""Why a rule matched or not, in words."""

from gateway.stages.authorize import Action, ConditionSettings, Facts, RuleSettings, compile_rule, judge
from tests.facts import context, principal, user
from tests.stages.authorize.test_clauses import ROUTE

FACTS = Facts(context("/a", method="POST"), ROUTE, principal(None, user(groups=["dev"])), None)


def why(settings: RuleSettings) -> tuple[bool, str]:
    (judged,) = judge([compile_rule(settings, {})], FACTS)
    return judged.matched, judged.why


def test_each_failed_clause_says_what_is_wanted_and_what_is_there() -> None:
    rule = RuleSettings(
        "r",
        Action.ALLOW,
        False,
        None,
        ({"principals": ("spiffe://a/b",)},),
        ({"methods": ("GET", "HEAD"), "not_paths": ("/a",)},),
        (ConditionSettings("request.auth.claims[groups]", ("ops",), ("dev",)),),
    )
    (judged,) = judge([compile_rule(rule, {})], FACTS)
    assert judged.missing == (
        "to.methods must be GET or HEAD: it is POST",
        "to.not_paths must not be /a: it is /a",
        "from.principals must be spiffe://a/b: it is absent",
        "when request.auth.claims[groups] must be ops: it is dev",
        "when request.auth.claims[groups] must not be dev: it is dev",
    )


def test_of_alternatives_the_nearest_is_told() -> None:
    rule = RuleSettings(
        "r", Action.ALLOW, False, None, (), ({"methods": ("GET",), "paths": ("/b",)}, {"methods": ("PUT",)})
    )
    assert why(rule) == (False, "to.methods must be PUT: it is POST")


def test_a_match_says_so() -> None:
    assert why(RuleSettings("r", Action.ALLOW, False, None)) == (True, "it asks nothing")
    matched = RuleSettings("r", Action.ALLOW, False, None, ({"issuers": ("corp",)},), ({"methods": ("POST",)},))
    assert why(matched) == (True, "every condition holds (to.methods, from.issuers)")


def test_a_broken_rule_says_what_is_wrong() -> None:
    matched, text = why(RuleSettings("r", Action.ALLOW, False, None, ({"principals": ("x",)},)))
    assert matched
    assert "the rule is invalid" in text
    assert "whole" in text


def test_long_values_are_cut() -> None:
    facts = Facts(context("/" + "x" * 500), ROUTE, principal(), None)
    (judged,) = judge(
        [compile_rule(RuleSettings("r", Action.ALLOW, False, None, (), ({"paths": ("/y",)},)), {})], facts
    )
    assert len(judged.why) < 130
