import pytest

from gateway.kernel.cel.macros import LONGEST
from tests.kernel.cel.language import outcome, refused


@pytest.mark.parametrize(
    ("text", "a", "expected"),
    [
        ("a.exists(x, x == 'y')", ["x", "y"], True),
        ("a.exists(x, x == 'y')", [], False),
        ("a.all(x, x == 'y')", [], True),
        ("a.all(x, x == 'y')", ["y", "y"], True),
        ("a.all(x, x == 'y')", ["y", "z"], False),
        ("a.exists(x, x > 1)", ["x", 2], True),
        ("a.exists(x, x > 1)", ["x", 1], "'>' cannot take values of these types"),
        ("a.all(x, x > 1)", ["x", 1], False),
        ("a.all(x, x > 1)", ["x", 2], "'>' cannot take values of these types"),
        ("a.exists(x, x)", [1, True], True),
        ("a.exists(x, x)", [1], "the condition is neither true nor false"),
        ("a.exists(x, x.k == text)", [{"k": "some text"}], True),
        ("a.exists(x, x == claims.sub)", ["alice"], "claims.sub is absent"),
        ("a.exists(x, has(claims.sub) || thing.name == x)", ["alice"], "thing.name is absent"),
        ("a.exists(x, size(thing) == 1)", ["alice"], True),
        ("a.exists(x, true)", "abc", "a is no list"),
        ("a.exists(x, true)", {"k": 1}, "a is no list"),
        ("a.exists(x, false)", ["x"] * LONGEST, False),
        ("a.exists(x, true)", ["x"] * (LONGEST + 1), "a has more than 256 elements"),
        ("['x'].exists(x, x == a)", "x", True),
    ],
)
def test_exists_and_all_absorb_failures_and_are_bounded(text: str, a: object, expected: object) -> None:
    assert outcome(text, a=a) == expected


def test_the_failure_of_the_list_is_theirs() -> None:
    assert outcome("a.exists(x, true)") == "a is absent"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a.exists(x, b.exists(y, y == x))",
            "exists() does not stand inside exists() or all(): the work would multiply",
        ),
        ("a.exists('x', true)", "write LIST.exists(NAME, CONDITION)"),
        ("a.all(x)", "write LIST.all(NAME, CONDITION)"),
        ("a.all(claims, true)", "'claims' has a meaning already: choose another name"),
        ("text.all(x, true)", "all() goes over a list: this is a string"),
        ("a.exists(x, 'x')", "a condition is true or false: this is a string"),
        ("a.exists(x, true) && x", "there is no 'x' here"),
    ],
)
def test_what_would_not_be_bounded_or_not_be_meant_is_refused(text: str, message: str) -> None:
    assert refused(text)[0].startswith(message)
