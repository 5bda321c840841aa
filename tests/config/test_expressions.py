"""CEL in the file: each fault has the line and column of its character."""

from pathlib import Path

import pytest

from tests.config.sample import changed, judged, loaded

RULE = '      - {from: {request_principals: ["*"]}, to: {methods: [GET]}}\n'


def with_when(when: str) -> str:
    return changed((RULE, f"      - to: {{methods: [GET]}}\n        when:\n{when}\n"))


@pytest.mark.parametrize(
    ("when", "error"),
    [
        ("          - claims.a = 1", "15:22 '=' does not belong to the language: write == to compare"),
        ('          - "claims.a = 1"', "15:23 '=' does not belong to the language: write == to compare"),
        ("          - 'claims.a == x'", "15:26 there is no 'x' here: there are "),
        ("          - 'claims.a == ''x'' && y'", "15:13 there is no 'y' here: "),
        ('          - "claims.a == \\"x\\" && y"', "15:13 there is no 'y' here: "),
        ("          - |\n            claims.a == 1 &&\n              y", "15:13 there is no 'y' here: "),
        ("          - claims.a == 1 &&\n            y", "15:13 there is no 'y' here: "),
        ("          - request.method == 1", "15:28 a string and an int are never equal"),
        ("          - ''", "15:13 an empty text"),
        ("          - 5", '15:13 a text is wanted: write "5" in quotes'),
        ("          - {key: nonsense, values: [a]}", '15:19 "nonsense" is no attribute'),
    ],
)
def test_a_fault_stands_at_its_character_or_at_its_expression(folder: Path, when: str, error: str) -> None:
    errors, _ = judged(folder, with_when(when))
    assert len(errors) == 1
    assert errors[0].startswith(error)


def test_an_expression_that_is_not_written_letter_by_letter_says_where_within_it(folder: Path) -> None:
    errors, _ = judged(folder, with_when("          - |\n            claims.a == 1 &&\n              y"))
    assert "(at 2:3 of the expression)" in errors[0]


def test_nothing_is_replaced_in_an_expression(folder: Path) -> None:
    config = loaded(folder, with_when("          - claims.a == '${HOME}'"), {"HOME": "/root"})
    assert config.routes[0].allow[0].when == ("claims.a == '${HOME}'",)


def test_expressions_and_conditions_stand_side_by_side(folder: Path) -> None:
    text = "          - claims.a == 1\n          - {key: source.namespace, values: [a]}"
    errors, _ = judged(folder, with_when(text))
    assert errors == []


def test_expressions_of_policies_and_denies_are_judged_too(folder: Path) -> None:
    route = "    allow:\n" + RULE
    deny = "    deny: [{when: [nonsense]}]\n"
    policy = "policies:\n  - {name: p, action: audit, rules: [{when: [more.nonsense]}]}\n"
    errors, _ = judged(folder, changed((route, deny + route), ("routes:", policy + "routes:")))
    assert [error.split(" ")[0] for error in errors] == ["9:46", "14:20"]
