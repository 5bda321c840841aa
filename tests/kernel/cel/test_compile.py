import pytest

from tests.kernel.cel.language import outcome, program, refused


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("text", "a condition is true or false: this is a string", 1),
        ("1 + 1", "a condition is true or false: this is an int", 3),
        ("text && true", "'&&' takes booleans: this is a string", 1),
        ("!text", "'!' takes booleans: this is a string", 2),
        ("text ? true : false", "'?:' takes booleans: this is a string", 1),
        ("text == 1", "a string and an int are never equal", 6),
        ("text == null", "a string and null are never equal", 6),
        ("text < 1", "a string and an int have no order", 6),
        ("claims.a < [1]", "a value and a list have no order", 10),
        ("null < null", "null and null have no order", 6),
        ("'t' in text", "'in' looks into a list or a map: this is a string", 8),
        ("text.length == 1", "only a map has members: this is a string", 1),
        ("text[0] == 't'", "only a list has positions: this is a string", 1),
        ("has(text)", "has() takes a member: has(claims.tenant)", 1),
        ("has(a)", "has() takes a member: has(claims.tenant)", 1),
        ("has(a.b, a.c)", "has() takes a member: has(claims.tenant)", 1),
        ("has(text.a)", "only a map has members: this is a string", 5),
        ("[1][2] == 1", "this always fails: [1][2] is absent", 5),
    ],
)
def test_what_is_known_wrong_is_refused_at_its_column(text: str, message: str, column: int) -> None:
    assert refused(text) == (message, 1, column)


def test_a_failure_knows_its_place() -> None:
    failure = program("text == 'x' ||\n  claims.tenant == 'acme'").run({})
    assert str(failure) == "claims.tenant is absent (at 2:10 of the expression)"


def test_constants_are_computed_once() -> None:
    assert outcome("'a' + 'b' in ['ab'] && [1, 2][1] == 2 && (true ? true : false) && !false") is True


def test_the_parts_of_a_conjunction_can_be_told_apart() -> None:
    found = program("text == 'x' && (claims.a == 1 || true) && claims.b == 2")
    assert [part.text for part in found.parts()] == ["text == 'x'", "claims.a == 1 || true", "claims.b == 2"]
    outcomes = [part.run({"text": "x", "claims": {}}) for part in found.parts()]
    assert outcomes[:2] == [True, True]
    assert str(outcomes[2]).startswith("claims.b is absent")
    assert [part.text for part in program("text == 'x'").parts()] == ["text == 'x'"]
