import pytest

from tests.kernel.cel.language import outcome, refused

OVERFLOW = {
    "+": "'+' overflows or divides by zero",
    "-": "'-' overflows or divides by zero",
    "*": "'*' overflows or divides by zero",
    "/": "'/' overflows or divides by zero",
    "%": "'%' overflows or divides by zero",
}
MAX, MIN = (1 << 63) - 1, -(1 << 63)


@pytest.mark.parametrize(
    "text",
    [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 - 2 - 1 == 4",
        "-7 / 2 == -3",
        "7 / -2 == -3",
        "-7 % 2 == -1",
        "7 % -2 == 1",
        "-7 % -2 == -1",
        "1.0 / 0.0 > 1e300",
        "-1.0 / 0.0 < -1e300",
        "1.0 / -0.0 < -1e300",
        "0.0 / 0.0 != 0.0 / 0.0",
        "5u / 2u == 2u",
        "5u % 2u == 1u",
        "2u * 3u == 6u",
        "3u - 2u == 1u",
        "1.5 + 2.0 == 3.5",
        "1.5 - 2.0 == -0.5",
        "1.5 * 2.0 == 3.0",
        "'a' + 'b' == 'ab'",
        "b'a' + b'b' == b'ab'",
        "[1] + ['a'] == [1, 'a']",
        "-9223372036854775808 < 0",
        "timestamp('2026-01-01T00:00:00Z') + duration('1h') == timestamp('2026-01-01T01:00:00Z')",
        "duration('1h') + timestamp('2026-01-01T00:00:00Z') == timestamp('2026-01-01T01:00:00Z')",
        "timestamp('2026-01-01T01:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('1h')",
        "timestamp('2026-01-01T01:00:00Z') - duration('1h') == timestamp('2026-01-01T00:00:00Z')",
        "duration('1h') - duration('90m') == -duration('30m')",
        "duration('1h') + duration('30m') == duration('90m')",
        "-(1) == -1",
        "-(-2.5) == 2.5",
    ],
)
def test_sums_hold(text: str) -> None:
    assert outcome(text) is True


@pytest.mark.parametrize(
    ("operator", "a", "b"),
    [
        ("+", MAX, 1),
        ("+", MIN, -1),
        ("-", MIN, 1),
        ("*", MAX, 2),
        ("/", MIN, -1),
        ("/", 1, 0),
        ("%", 1, 0),
        ("%", MIN, -1),
    ],
)
def test_what_does_not_fit_into_64_bits_is_a_failure(operator: str, a: int, b: int) -> None:
    assert outcome(f"a {operator} b == 0", a=a, b=b) == OVERFLOW[operator]


def test_an_unsigned_number_is_never_negative() -> None:
    assert outcome("uint(a) - 2u == 0u", a=1) == OVERFLOW["-"]
    assert outcome("uint(a) + 1u == 0u", a="18446744073709551615") == OVERFLOW["+"]


def test_the_smallest_number_has_no_opposite() -> None:
    assert outcome("-a == 0", a=MIN) == "'-' overflows"
    assert outcome("-a == 0", a="x") == "'-' cannot take a value of this type"


@pytest.mark.parametrize("values", [("a", 1), (1, 1.0), (True, True), (None, 1), ([1], 1)])
def test_types_are_never_converted(values: tuple[object, object]) -> None:
    a, b = values
    assert outcome("a + b == 1", a=a, b=b) == "'+' cannot take values of these types"


def test_time_has_ends() -> None:
    assert outcome("timestamp(a) + duration('24h') > timestamp(0)", a="9999-12-31T12:00:00Z") == OVERFLOW["+"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 + 'a' == 2", "'+' does not go with an int and a string: convert one of them"),
        ("1 + 1.0 == 2.0", "'+' does not go with an int and a double: convert one of them"),
        ("text * 2 == 'x'", "'*' does not go with a string and an int: convert one of them"),
        ("-text == 'x'", "'-' takes an int, a double or a duration: this is a string"),
        ("1 / 0 == 1", "this always fails: '/' overflows or divides by zero"),
        ("9223372036854775807 + 1 > 0", "this always fails: '+' overflows or divides by zero"),
    ],
)
def test_what_is_known_wrong_is_refused_before_it_runs(text: str, message: str) -> None:
    assert refused(text)[0] == message
