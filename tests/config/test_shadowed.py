"""Rules that never decide, because a rule above them takes whatever they match."""

from pathlib import Path

import pytest

from tests.config.sample import changed, judged

ALLOW = '      - {from: {request_principals: ["*"]}, to: {methods: [GET]}}\n'
ISSUER = "https://auth.example.com/realms/internal"


def warned(folder: Path, *allow: str, deny: str = "", policy: str = "") -> list[str]:
    """What is said of rules that never decide."""
    rules = "".join(f"      - {rule}\n" for rule in allow)
    text = changed((ALLOW, rules)) + (f"    deny: [{deny}]\n" if deny else "")
    if policy:
        text += f"policies:\n  - {{name: p, action: deny, rules: [{policy}]}}\n"
    errors, warnings = judged(folder, text)
    assert errors == []
    return [warning for warning in warnings if "never decides" in warning]


WIDE = f'{{from: {{request_principals: ["{ISSUER}/*"]}}, to: {{methods: [GET, PUT], paths: ["/api*"]}}}}'


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        pytest.param(WIDE, WIDE, id="the-same"),
        pytest.param(
            WIDE,
            f'{{from: {{request_principals: ["{ISSUER}/alice"]}}, to: {{methods: [GET], paths: ["/api/v1/*"]}}}}',
            id="narrower-in-each",
        ),
        pytest.param(
            WIDE,
            f'{{from: {{request_principals: ["{ISSUER}/a*"]}}, to: {{methods: [PUT], paths: [/api]}}, when: ["true"]}}',
            id="with-a-condition-more",
        ),
        pytest.param(
            f'{{from: {{request_principals: ["{ISSUER}/*"], not_request_principals: ["{ISSUER}/bob"]}}}}',
            f'{{from: {{request_principals: ["{ISSUER}/*"], not_request_principals: ["{ISSUER}/b*"]}}}}',
            id="excluding-more",
        ),
        pytest.param(
            f'{{from: [{{request_principals: ["{ISSUER}/a"]}}, {{request_principals: ["{ISSUER}/b"]}}]}}',
            f'{{from: {{request_principals: ["{ISSUER}/b"]}}}}',
            id="one-of-several",
        ),
        pytest.param(
            f'{{from: {{request_principals: ["{ISSUER}/*"]}}, when: ["claims.a == 1"]}}',
            f'{{from: {{request_principals: ["{ISSUER}/*"]}}, when: ["claims.b == 1", "claims.a  == 1"]}}',
            id="conditions",
        ),
    ],
)
def test_a_rule_under_one_that_takes_all_of_it_is_told_with_its_place(folder: Path, wide: str, narrow: str) -> None:
    said = "the rule inventory.allow[1] never decides: inventory.allow[0] matches whatever it matches"
    assert warned(folder, wide, narrow) == [f"14:9 {said}"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(f'{{from: {{request_principals: ["{ISSUER}/alice"]}}}}', WIDE, id="narrow-above-wide"),
        pytest.param(WIDE, "{from: {issuers: [corp]}, to: {methods: [GET]}}", id="by-another-key"),
        pytest.param(
            f'{{from: {{request_principals: ["{ISSUER}/*"], not_request_principals: ["{ISSUER}/b*"]}}}}',
            f'{{from: {{request_principals: ["{ISSUER}/*"], not_request_principals: ["{ISSUER}/bob"]}}}}',
            id="excluding-less",
        ),
        pytest.param(
            f'{{from: {{request_principals: ["{ISSUER}/*"]}}, when: ["claims.a == 1"]}}',
            f'{{from: {{request_principals: ["{ISSUER}/*"]}}, when: ["claims.a == 2"]}}',
            id="another-condition",
        ),
        pytest.param(f"{{mode: shadow, {WIDE[1:]}", WIDE, id="the-one-above-in-shadow"),
        pytest.param(WIDE, f"{{mode: shadow, {WIDE[1:]}", id="in-shadow-itself"),
        pytest.param(
            f'{{from: {{request_principals: ["{ISSUER}/*"]}}, to: {{paths: ["/a/*"]}}}}',
            f'{{from: {{request_principals: ["{ISSUER}/*"]}}, to: {{paths: ["/a*"]}}}}',
            id="a-longer-prefix-above",
        ),
    ],
)
def test_what_may_decide_is_not_told(folder: Path, first: str, second: str) -> None:
    assert warned(folder, first, second) == []


def test_an_allow_under_a_deny_that_takes_all_of_it_is_told(folder: Path) -> None:
    deny = f'{{name: nobody, from: {{request_principals: ["{ISSUER}/*"]}}}}'
    (said,) = warned(folder, f'{{name: some, from: {{request_principals: ["{ISSUER}/alice"]}}}}', deny=deny)
    assert said.endswith("the rule some never decides: nobody matches whatever it matches")


def test_rules_of_a_policy_are_compared_too(folder: Path) -> None:
    (said,) = warned(folder, WIDE, policy='{to: {paths: ["/admin/*"]}}, {to: {paths: [/admin/x], methods: [PUT]}}')
    assert said.endswith("the rule p[1] never decides: p[0] matches whatever it matches")
