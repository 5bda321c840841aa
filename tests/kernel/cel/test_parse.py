import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.cel import CelInvalid
from gateway.kernel.cel.parse import parse
from tests.kernel.cel.language import outcome, program, refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true || true && false", True),
        ("!true || true", True),
        ("!(true || true)", False),
        ("!!true", True),
        ("1 + 1 == 2 && 2 > 1", True),
        ("1 < 2 == true", True),
        ("2 - 1 - 1 == 0", True),
        ("8 / 2 / 2 == 2", True),
        ("1 - -1 == 2", True),
        ("2 -1 == 1", True),
        ("false ? true : false ? false : true", True),
        ("false ? 1 == 1 : 1 == 2", False),
        ("'a' in ['a'] == true", True),
        ("[1, 2,] == [1, 2]", True),
        ("{'a': 1,} == {'a': 1}", True),
        ("[] == [] && {} == {}", True),
    ],
)
def test_operators_bind_as_in_the_specification(text: str, expected: bool) -> None:
    assert outcome(text) is expected


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "a value is wanted", 1),
        ("a ==", "a value is wanted", 5),
        ("a == 1)", "the expression ends before this", 7),
        ("(a == 1", "a ')' is wanted", 8),
        ("a b", "the expression ends before this", 3),
        ("a ? b", "a ':' is wanted: CONDITION ? A : B", 6),
        ("a[0 == 1", "a ']' is wanted", 9),
        ("a. == 1", "a name is wanted behind the '.'", 4),
        ("a.'x' == 1", "a name is wanted behind the '.'", 3),
        ("[1, 2 == a", "a ']' is wanted", 11),
        ("{'a' 1} == a", "a ':' is wanted: {KEY: VALUE}", 6),
        ("{a: 1} == a", "a key is a string that stands here", 2),
        ("{1: 1} == a", "a key is a string that stands here", 2),
        ("{'a': 1, 'a': 2} == a", "this key stands twice", 10),
        ("while == 1", "'while' is a reserved word", 1),
        ("in == 1", "'in' is a reserved word", 1),
        ("a == 9223372036854775808", "the number has more than 64 bits", 6),
    ],
)
def test_what_is_no_expression_is_refused_at_its_column(text: str, message: str, column: int) -> None:
    assert refused(text) == (message, 1, column)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "a" + ")" * 5000,
        "!" * 5000 + "a",
        "-" * 5000 + "a",
        "[" * 5000,
        "a" + ".b" * 5000,
        "a" + "[0]" * 4000,
        "a == " + "1 + " * 4000 + "1",
        "a ? b : " * 1500 + "b",
    ],
)
def test_nesting_is_bounded(text: str) -> None:
    assert refused(text)[0] == "nested more than 32 levels deep"


def test_an_expression_is_no_longer_than_16_KiB() -> None:
    assert refused("a == '" + "x" * 16384 + "'")[0] == "longer than 16384 characters"


def test_many_conditions_in_a_row_are_not_nested() -> None:
    assert outcome(" && ".join(["true"] * 1000)) is True
    assert outcome(" || ".join(["false"] * 1000)) is False


@given(st.text(alphabet="ab01.'\"()[]{}+-*/%!<>=&|?:, \n\\xinhas", max_size=40))
def test_any_text_compiles_or_is_refused_with_a_place_in_it(text: str) -> None:
    where = (1, 1)
    try:
        program(text)
    except CelInvalid as error:
        where = error.line, error.column
    lines = text.split("\n")
    assert 1 <= where[0] <= len(lines)
    assert 1 <= where[1] <= len(lines[where[0] - 1]) + 1


@given(st.text(max_size=30))
def test_what_parses_knows_its_whole_text(text: str) -> None:
    try:
        node = parse(text)
    except CelInvalid:
        return
    assert 0 <= node.span.start < node.span.end <= len(text)
