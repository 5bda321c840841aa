"""Authorize: the order of judging, naming, scopes, shadow, preflights, and what may never happen (Z1, Z17, Z19)."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.json import JSON
from gateway.model.permit import Permit
from gateway.model.place import Place
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.request import Preflight, RequestContext
from gateway.model.route import Route
from gateway.model.shadow import Shadow
from gateway.stages.authorize import (
    Action,
    Authorize,
    ConditionSettings,
    Rule,
    RuleSettings,
    Span,
    compile_rule,
    route_rules,
)
from tests.facts import ISSUER, NOW, context, principal, user, workload

HERE = Place("routes.yaml", 7, 3)
ROUTE = Route("r", 0, False, HERE, "")
ALICE = principal(None, user("alice"))


def rule(
    name: str, action: Action, *, shadow: bool = False, when: str | None = None, negated: bool = False, claim: str = "g"
) -> Rule:
    key = f"request.auth.claims[{claim}]"
    conditions: tuple[ConditionSettings, ...] = ()
    if when is not None:
        conditions = (ConditionSettings(key, (), (when,)) if negated else ConditionSettings(key, (when,)),)
    return compile_rule(RuleSettings(name, action, shadow, Place("routes.yaml", 1, 1), (), (), conditions), {})


def stage(
    policies: Iterable[Rule] = (), own: Iterable[Rule] = (), *, scopes: tuple[str, ...] = (), public: bool = False
) -> Authorize:
    rules = route_rules(policies, list(own), scopes, public=public)
    return Authorize({(0, "edge"): rules}, {0: frozenset({"https://app.example.com"}), 2: frozenset({"*"})}, {})


def decide(authorize: Authorize, who: Principal = ALICE, ctx: RequestContext | None = None) -> Permit | Refused:
    try:
        return authorize(ctx or context(), ROUTE, who, None)
    except Refused as refused:
        return refused


def answer(found: Permit | Refused) -> tuple[str, str | None]:
    return ("allow", found.rule) if isinstance(found, Permit) else (found.reason.code, found.rule)


ALLOW, DENY, AUDIT = Action.ALLOW, Action.DENY, Action.AUDIT
WRITERS = compile_rule(RuleSettings("w", ALLOW, False, HERE, (), ({"methods": ("POST",)},)), {})


@pytest.mark.parametrize(
    ("policies", "own", "expected"),
    [
        pytest.param([], [], ("no_rule_allows", None), id="Z1-no-rule-no-access"),
        pytest.param([], [rule("a", ALLOW)], ("allow", "a"), id="Z1-allow"),
        pytest.param([], [rule("d", DENY), rule("a", ALLOW)], ("denied_by_rule", "d"), id="Z1-deny-before-allow"),
        pytest.param([rule("p", ALLOW)], [rule("d", DENY)], ("denied_by_rule", "d"), id="Z1-own-deny-wins"),
        pytest.param([rule("p", DENY)], [rule("d", DENY)], ("denied_by_rule", "p"), id="Z1-policies-come-first"),
        pytest.param([rule("p", ALLOW)], [rule("a", ALLOW)], ("allow", "p"), id="Z1-policies-allow-first"),
        pytest.param([], [rule("a", ALLOW, when="x"), rule("b", ALLOW)], ("allow", "b"), id="Z1-first-that-matches"),
        pytest.param([rule("u", AUDIT)], [], ("no_rule_allows", None), id="Z1-audit-only-marks"),
        pytest.param([], [rule("a", ALLOW, when="x")], ("no_rule_allows", None), id="Z1-allow-that-does-not-match"),
    ],
)
def test_the_first_match_decides_and_is_named(
    policies: list[Rule], own: list[Rule], expected: tuple[str, str | None]
) -> None:
    assert answer(decide(stage(policies, own))) == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        pytest.param([], ("allow", None), id="Z10-public-without-rules"),
        pytest.param([rule("d", DENY)], ("denied_by_rule", "d"), id="Z10-deny-applies-to-public"),
        pytest.param([rule("a", ALLOW)], ("allow", "a"), id="Z10-public-with-allow-names-it"),
        pytest.param([rule("a", ALLOW, when="x")], ("no_rule_allows", None), id="Z10-public-with-allow-decides"),
        pytest.param([rule("a", ALLOW, when="x", shadow=True)], ("allow", None), id="Z19-shadow-allow-closes-nothing"),
    ],
)
def test_a_public_route(own: list[Rule], expected: tuple[str, str | None]) -> None:
    assert answer(decide(stage(own=own, public=True), principal())) == expected


def test_the_refusal_names_its_place() -> None:
    denied = decide(stage(own=[rule("d", DENY)]))
    assert isinstance(denied, Refused)
    assert str(denied.where) == "routes.yaml:1:1"
    nothing = decide(stage())
    assert isinstance(nothing, Refused)
    assert nothing.where == HERE


def test_audit_rules_mark_whatever_the_answer() -> None:
    marked = decide(stage([rule("u", AUDIT), rule("v", AUDIT, when="x")], [rule("a", ALLOW)]))
    assert isinstance(marked, Permit)
    assert marked.audited == ("u",)
    denied = decide(stage([rule("u", AUDIT)], [rule("d", DENY)]))
    assert isinstance(denied, Refused)
    assert denied.audited == ("u",)


@pytest.mark.parametrize(
    ("claims", "enough"),
    [
        pytest.param({"scope": "read write"}, True, id="J28-words"),
        pytest.param({"scope": "write read extra"}, True, id="J28-any-order"),
        pytest.param({"scp": ["read", "write"]}, True, id="J28-list"),
        pytest.param({"scope": "read"}, False, id="J28-one-of-two"),
        pytest.param({"scope": "reader writer"}, False, id="J28-longer-words"),
        pytest.param({"scope": "read\u00a0write"}, False, id="J28-other-space"),
        pytest.param({"scope": ["read", 7]}, False, id="J28-number-in-a-list"),
        pytest.param({"scope": 7}, False, id="J28-number"),
        pytest.param({}, False, id="J28-absent"),
    ],
)
def test_scopes_are_exact_words(claims: dict[str, str], enough: bool) -> None:
    found = decide(stage(own=[rule("a", ALLOW)], scopes=("read", "write")), principal(None, user(**claims)))
    if enough:
        assert answer(found) == ("allow", "a")
        return
    assert isinstance(found, Refused)
    assert found.reason is Reason.SCOPE_MISSING
    assert found.challenge is not None
    assert found.challenge.scopes == ("read", "write")


def test_scopes_are_asked_after_deny_and_before_allow() -> None:
    assert answer(decide(stage(own=[rule("d", DENY)], scopes=("read",)))) == ("denied_by_rule", "d")
    assert answer(decide(stage(own=[], scopes=("read",)))) == ("scope_missing", None)
    assert answer(decide(stage(own=[rule("a", ALLOW)], scopes=("read",)), principal(workload()))) == (
        "scope_missing",
        None,
    )


def test_Z19_shadow_rules_are_named_and_decide_nothing() -> None:
    found = decide(stage([rule("d", DENY, shadow=True)], [rule("a", ALLOW), rule("s", ALLOW, shadow=True)]))
    assert isinstance(found, Permit)
    assert found.rule == "a"
    place = Place("routes.yaml", 1, 1)
    assert found.shadows == (Shadow("rule", "d", Effect.DENY, place), Shadow("rule", "s", Effect.ALLOW, place))
    refused = decide(stage(own=[rule("s", ALLOW, shadow=True)]))
    assert isinstance(refused, Refused)
    assert [shadow.name for shadow in refused.shadows] == ["s"]


@pytest.mark.parametrize(
    ("who", "expires"),
    [
        (principal(), None),
        (principal(workload(not_after=NOW + 9)), NOW + 9),
        (principal(None, user()), NOW + 300),
        (principal(workload(not_after=NOW + 9), user()), NOW + 9),
        (principal(workload(not_after=NOW + 900), user()), NOW + 300),
    ],
    ids=["nobody", "workload", "user", "certificate-first", "token-first"],
)
def test_a_permit_ends_with_the_first_proof(who: Principal, expires: float | None) -> None:
    found = decide(stage(own=[rule("a", ALLOW)]), who)
    assert isinstance(found, Permit)
    assert found.expires == expires


def test_a_permit_ends_no_later_than_the_facts_about_the_device_are_fresh() -> None:
    judge = stage(own=[rule("a", ALLOW)])
    for posture, expires in (
        (Posture("d", {}, NOW, NOW + 9), NOW + 9),
        (Posture("d", {}, NOW, NOW + 900), NOW + 300),
        (Posture("d", {}, NOW), NOW + 300),
    ):
        assert judge(context(), ROUTE, principal(None, user()), posture).expires == expires


def ask(origin: str, index: int) -> Permit | Refused:
    asking = context(method="OPTIONS", preflight=Preflight(origin, "PUT", ()))
    try:
        return stage().preflight(asking, Route("r", index, False, HERE, ""))
    except Refused as refused:
        return refused


@pytest.mark.parametrize(
    ("origin", "index", "allowed"),
    [
        pytest.param("https://app.example.com", 0, True, id="H29-listed-origin"),
        pytest.param("https://app.example.com.evil", 0, False, id="H29-longer-origin"),
        pytest.param("https://APP.example.com", 0, False, id="H29-origin-in-another-case"),
        pytest.param("null", 0, False, id="H29-null-origin"),
        pytest.param("https://app.example.com", 1, False, id="H29-route-without-cors"),
        pytest.param("https://anyone.example", 2, True, id="H29-any-origin"),
    ],
)
def test_a_preflight_is_judged_by_the_routes_own_cors(origin: str, index: int, allowed: bool) -> None:
    found = ask(origin, index)
    if allowed:
        assert isinstance(found, Permit)
        assert found.principal.anonymous
    else:
        assert isinstance(found, Refused)
        assert found.reason is Reason.CORS_REFUSED


def test_H17_a_header_rule_sees_every_value_through_the_stage() -> None:
    key = ConditionSettings("request.headers[x-role]", ("admin",))
    deny = compile_rule(RuleSettings("d", DENY, False, None, (), (), (key,)), {})
    allow = compile_rule(RuleSettings("a", ALLOW, False, None, (), (), (key,)), {})
    mixed = context(headers={"x-role": ("user", "admin")})
    assert answer(decide(stage(own=[deny, rule("all", ALLOW)]), ctx=mixed)) == ("denied_by_rule", "d")
    assert answer(decide(stage(own=[allow]), ctx=mixed)) == ("no_rule_allows", None)


RULES = st.builds(
    rule,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([ALLOW, DENY, AUDIT]),
    shadow=st.booleans(),
    when=st.sampled_from([None, "x", "y", "*"]),
    negated=st.booleans(),
    claim=st.sampled_from(["g", "h"]),
)
SEVERAL: tuple[dict[str, JSON], ...] = ({}, {"g": "x"}, {"g": ["x", "y"], "h": "y"})
CALLERS = st.sampled_from(
    [
        principal(),
        principal(workload()),
        *(principal(None, replace(user("alice"), claims=claims)) for claims in SEVERAL),
    ]
)
POLICIES = st.lists(RULES, max_size=3)


def allows(policies: list[Rule], own: list[Rule], who: Principal, public: bool) -> bool:
    return isinstance(decide(stage(policies, own, public=public), who), Permit)


@given(POLICIES, POLICIES, RULES, CALLERS, st.booleans(), st.integers(0, 3))
def test_Z17_adding_a_deny_never_widens_and_adding_an_allow_never_narrows(
    policies: list[Rule], own: list[Rule], added: Rule, who: Principal, public: bool, at: int
) -> None:
    before = allows(policies, own, who, public)
    after = allows([*policies[:at], added, *policies[at:]], own, who, public)
    if added.shadow or added.action is AUDIT:
        assert after == before
    elif added.action is DENY:
        assert after <= before
    else:
        assert after >= before


@given(POLICIES, POLICIES, RULES, CALLERS, st.booleans())
def test_Z17_the_same_holds_for_the_routes_own_rules(
    policies: list[Rule], own: list[Rule], added: Rule, who: Principal, public: bool
) -> None:
    before = allows(policies, own, who, public)
    after = allows(policies, [*own, added], who, public)
    if added.shadow or added.action is AUDIT:
        assert after == before
    elif added.action is DENY:
        assert after <= before
    elif not public:
        assert after >= before  # a public route's first allow of its own closes it: the contract says so


@given(POLICIES, POLICIES, CALLERS, st.booleans())
def test_Z19_shadow_never_changes_an_answer(
    policies: list[Rule], own: list[Rule], who: Principal, public: bool
) -> None:
    enforced = decide(
        stage([r for r in policies if not r.shadow], [r for r in own if not r.shadow], public=public), who
    )
    assert answer(decide(stage(policies, own, public=public), who)) == answer(enforced)


@given(POLICIES, POLICIES, CALLERS)
def test_judging_with_reasons_agrees_with_deciding(policies: list[Rule], own: list[Rule], who: Principal) -> None:
    authorize = stage(policies, own)
    judged = authorize.judge(context(), ROUTE, who, None)
    assert [each.rule for each in judged] == [*policies, *own]
    assert all(each.matched == (not each.missing) for each in judged)
    live = [each.rule for each in judged if each.matched and not each.rule.shadow]
    denying = [r.name for r in live if r.action is DENY]
    allowing = [r.name for r in live if r.action is ALLOW]
    expected = (
        ("denied_by_rule", denying[0]) if denying else ("allow", allowing[0]) if allowing else ("no_rule_allows", None)
    )
    assert answer(decide(authorize, who)) == expected


def grant(name: str, begins: float, ends: float, *, when: str | None = None) -> Rule:
    conditions = (ConditionSettings("request.auth.claims[g]", (when,)),) if when is not None else ()
    settings = RuleSettings(name, ALLOW, False, Place("grants.yaml", 2, 5), (), (), conditions, Span(begins, ends))
    return compile_rule(settings, {})


def granting(*grants: Rule, policies: Iterable[Rule] = (), own: Iterable[Rule] = ()) -> Authorize:
    return Authorize({(0, "edge"): route_rules(policies, list(own), public=False, grants=grants)}, {}, {})


@pytest.mark.parametrize(
    ("begins", "ends", "holds"),
    [
        pytest.param(NOW - 60, NOW + 60, True, id="Z1-meanwhile"),
        pytest.param(NOW, NOW + 60, True, id="Z1-at-its-beginning"),
        pytest.param(NOW - 60, NOW, False, id="Z1-at-its-end"),
        pytest.param(NOW - 60, NOW - 1, False, id="Z1-after-its-end"),
        pytest.param(NOW + 59, NOW + 90, True, id="Z1-of-a-clock-that-is-a-little-ahead"),
        pytest.param(NOW + 61, NOW + 90, False, id="Z1-before-its-beginning"),
    ],
)
def test_a_grant_allows_in_its_time_and_ends_by_itself(begins: float, ends: float, holds: bool) -> None:
    found = decide(granting(grant("grant:g", begins, ends)))
    assert answer(found) == (("allow", "grant:g") if holds else ("no_rule_allows", None))
    if isinstance(found, Permit):
        assert found.where == Place("grants.yaml", 2, 5)


@pytest.mark.parametrize(
    ("policies", "own", "expected"),
    [
        pytest.param([rule("p", DENY)], [], ("denied_by_rule", "p"), id="Z1-never-beats-a-policy"),
        pytest.param([], [rule("d", DENY)], ("denied_by_rule", "d"), id="Z1-never-beats-a-deny"),
        pytest.param([], [rule("a", ALLOW)], ("allow", "a"), id="Z1-is-not-named-where-it-is-not-needed"),
        pytest.param([], [rule("a", ALLOW, when="x")], ("allow", "grant:g"), id="Z1-is-named-where-it-is"),
        pytest.param(
            [], [WRITERS], ("allow", "grant:g"), id="Z1-is-asked-where-rules-judged-in-one-step-allow-nothing"
        ),
    ],
)
def test_a_grant_is_asked_last(policies: list[Rule], own: list[Rule], expected: tuple[str, str | None]) -> None:
    assert answer(decide(granting(grant("grant:g", 0, NOW + 60), policies=policies, own=own))) == expected


@pytest.mark.parametrize(("proof", "expected"), [(NOW + 10, NOW + 10), (NOW + 100, NOW + 60)])
def test_what_a_grant_opens_ends_with_it(proof: float, expected: float) -> None:
    who = principal(None, replace(user("alice"), expires=proof))
    found = decide(granting(grant("grant:g", 0, NOW + 60)), who)
    assert isinstance(found, Permit)
    assert found.expires == expected


GRANTS = st.builds(
    grant,
    st.just("grant:g"),
    st.sampled_from([0.0, NOW - 60, NOW + 3600]),
    st.sampled_from([NOW - 30, NOW, NOW + 60]),
    when=st.sampled_from([None, "x", "y", "*"]),
)


@given(POLICIES, POLICIES, GRANTS, CALLERS)
def test_Z17_a_grant_never_narrows_and_never_beats_a_deny(
    policies: list[Rule], own: list[Rule], added: Rule, who: Principal
) -> None:
    before = answer(decide(stage(policies, own), who))
    after = answer(decide(granting(added, policies=policies, own=own), who))
    assert after == (before if before[0] != "no_rule_allows" else after)
    assert after in (before, ("allow", "grant:g"))


def test_Z1_a_grant_that_does_not_compile_allows_nothing() -> None:
    broken = compile_rule(RuleSettings("grant:g", ALLOW, False, None, (), (), ("no such(",), Span(0, NOW + 60)), {})
    assert broken.fault is not None
    assert answer(decide(granting(broken))) == ("no_rule_allows", None)


def test_a_grant_that_has_ended_says_so() -> None:
    (judged,) = granting(grant("grant:g", NOW - 90, NOW - 30)).judge(context(), ROUTE, ALICE, None)
    assert judged.missing == (
        "time must be from 2027-01-15T07:58:30Z until 2027-01-15T07:59:30Z: it is 2027-01-15T08:00:00Z",
    )


SOURCES: list[tuple[dict[str, tuple[str, ...]], ...]] = [
    (),
    ({"request_principals": (f"{ISSUER}/*",)},),
    ({"request_principals": (f"{ISSUER}/a*", "https://other.example/*")},),
    ({"request_principals": (f"{ISSUER}/alice",)},),
    ({"not_request_principals": (f"{ISSUER}/*",)},),
    ({"request_principals": (f"{ISSUER}/*",), "issuers": ("corp",)},),
    ({"request_principals": (f"{ISSUER}/b*",)}, {"principals": ("*",)}),
    ({"principals": ("spiffe://cluster.local/*",)},),
]
OPERATIONS: list[tuple[dict[str, tuple[str, ...]], ...]] = [
    (),
    ({"methods": ("GET",)},),
    ({"methods": ("POST", "OPTIONS")},),
    ({"methods": ("*",)},),
    ({"not_methods": ("GET",)},),
    ({"methods": ("GET",), "paths": ("/a/*",)},),
    ({"methods": ("GET",)}, {"methods": ("PUT",)}),
]
WHO = [
    principal(None, user("alice")),
    principal(None, user("bob")),
    principal(workload(), user("alice")),
    principal(workload(), None),
    principal(),
]


@given(
    st.lists(st.tuples(st.sampled_from(SOURCES), st.sampled_from(OPERATIONS), st.sampled_from([ALLOW, ALLOW, DENY]))),
    st.sampled_from(WHO),
    st.sampled_from(["GET", "POST", "OPTIONS"]),
    st.sampled_from(["/a/b", "/b"]),
    st.booleans(),
)
def test_Z1_what_is_judged_in_one_step_is_what_the_clauses_say(
    asked: list[tuple[tuple[dict[str, tuple[str, ...]], ...], tuple[dict[str, tuple[str, ...]], ...], Action]],
    who: Principal,
    method: str,
    path: str,
    preflight: bool,
) -> None:
    rules = [
        compile_rule(RuleSettings(str(number), action, False, HERE, sources, operations), {})
        for number, (sources, operations, action) in enumerate(asked)
    ]
    about = Preflight("https://app.example.com", "GET", ()) if preflight else None
    ctx = context(path, method=method, preflight=about)
    authorize = stage(own=rules)
    matched = [each.rule for each in authorize.judge(ctx, ROUTE, who, None) if each.matched]
    matched.sort(key=lambda each: each.action is not DENY)
    found = decide(authorize, who, ctx)
    if not matched:
        assert answer(found) == ("no_rule_allows", None)
        return
    assert answer(found) == ("allow" if matched[0].action is ALLOW else "denied_by_rule", matched[0].name)
    if isinstance(found, Permit):
        ends = NOW + 300 if who.user is not None else NOW + 3600 if who.workload is not None else None
        assert (found.where, found.expires) == (HERE, ends)
