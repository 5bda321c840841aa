import pytest

from tests.kernel.cel.language import outcome, refused


@pytest.mark.parametrize(
    "text",
    [
        "size('é€') == 2",
        "'abc'.size() == 3",
        "size(b'é') == 2",
        "size([1, 2]) == 2",
        "size({'a': 1}) == 1",
        "text.startsWith('some')",
        "text.endsWith('text')",
        "text.contains('e t')",
        "!text.startsWith('text')",
        "'abc'.startsWith('')",
        "int('12') == 12",
        "int('-9223372036854775808') < 0",
        "int(1.9) == 1",
        "int(-1.9) == -1",
        "int(2u) == 2",
        "int(timestamp('1970-01-01T00:01:00Z')) == 60",
        "uint('12') == 12u",
        "uint(1.9) == 1u",
        "double('1.5e1') == 15.0",
        "double(1) == 1.0",
        "bool('true') && !bool('F') && bool(true)",
        "string(1) == '1'",
        "string(1u) == '1'",
        "string(1.0) == '1'",
        "string(0.5) == '0.5'",
        "string(true) == 'true'",
        "string(b'abc') == 'abc'",
        "string(timestamp('2026-01-01T02:00:00+02:00')) == '2026-01-01T00:00:00Z'",
        "string(duration('90m')) == '5400s'",
        "bytes('é') == b'\\xc3\\xa9'",
        "timestamp(60) == timestamp('1970-01-01T00:01:00Z')",
        "duration(duration('1s')) == duration('1000ms')",
        "dyn(1) == 1",
        "dyn(1) != 'a'",
        "timestamp('2026-03-01T22:30:15.5Z').getHours() == 22",
        "timestamp('2026-03-01T22:30:15.5Z').getHours('+02:00') == 0",
        "timestamp('2026-03-01T22:30:15.5Z').getHours('Europe/Berlin') == 23",
        "timestamp('2026-03-01T22:30:15.5Z').getDayOfWeek() == 0",
        "timestamp('2026-03-01T22:30:15.5Z').getMonth() == 2",
        "duration('90m').getHours() == 1",
        "duration('-90m').getMinutes() == -90",
    ],
)
def test_calls_hold(text: str) -> None:
    assert outcome(text) is True


@pytest.mark.parametrize(
    ("text", "a"),
    [
        ("int(a) == 0", "x"),
        ("int(a) == 0", "0x10"),
        ("int(a) == 0", "1_000"),
        ("int(a) == 0", " 1"),
        ("int(a) == 0", "٣"),
        ("int(a) == 0", "9223372036854775808"),
        ("int(a) == 0", 1e19),
        ("int(a) == 0", float("nan")),
        ("uint(a) == 0u", -1),
        ("uint(a) == 0u", "-0"),
        ("uint(a) == 0u", 1e20),
        ("double(a) == 0.0", "nan"),
        ("double(a) == 0.0", "1_0"),
        ("bool(a)", "yes"),
        ("string(a) == ''", b"\xff"),
        ("timestamp(a) > timestamp(0)", "2026-01-01"),
        ("timestamp(a) > timestamp(0)", "2026-02-30T00:00:00Z"),
        ("timestamp(a) > timestamp(0)", 1 << 62),
        ("duration(a) > duration('0')", "1d"),
        ("duration(a) > duration('0')", ""),
        ("timestamp(0).getHours(a) == 0", "No/Where"),
        ("timestamp(0).getHours(a) == 0", "../../etc/passwd"),
    ],
)
def test_what_cannot_be_converted_is_a_failure(text: str, a: object) -> None:
    assert "has no result for this value" in str(outcome(text, a=a))


@pytest.mark.parametrize(
    ("text", "a"),
    [
        ("a.startsWith('x')", 1),
        ("a.contains('x')", ["x"]),
        ("text.startsWith(a)", None),
        ("size(a) == 1", 1),
        ("int(a) == 1", True),
        ("int(a) == 1", None),
        ("bool(a)", 1),
        ("timestamp(a) == timestamp(0)", 1.5),
        ("a.getHours() == 0", "2026"),
    ],
)
def test_a_value_of_another_type_is_a_failure(text: str, a: object) -> None:
    assert "cannot take a value of this type" in str(outcome(text, a=a))


def test_the_failure_of_an_argument_is_the_calls() -> None:
    assert outcome("a.startsWith('x')") == "a is absent"
    assert outcome("text.startsWith(a)") == "a is absent"
    assert outcome("int(a) == 1") == "a is absent"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text.matches('a+')", "matches() is not in this subset of CEL: patterns are not part of it"),
        ("a.map(x, x)", "map() is not in this subset of CEL"),
        ("text.startWith('a')", "there is no function startWith(): did you mean startsWith()?"),
        ("startsWith(text, 'a')", "startsWith() is not written like this"),
        ("text.int() == 1", "int() is not written like this"),
        ("text.startsWith()", "startsWith() takes 1 argument"),
        ("text.startsWith('a', 'b')", "startsWith() takes 1 argument"),
        ("size() == 1", "size() takes 1 argument"),
        ("text.size(1) == 1", "size() takes no arguments"),
        ("size(1) == 1", "size() takes"),
        ("text.startsWith(1)", "startsWith() takes a string: this is an int"),
        ("timestamp('today') > timestamp(0)", "this always fails: timestamp() has no result for this value"),
        ("duration('1d') > duration('1s')", "this always fails: duration() has no result for this value"),
        ("duration('1h').getMonth() == 1", "getMonth() takes a timestamp: this is a duration"),
    ],
)
def test_calls_that_cannot_be_meant_are_refused(text: str, message: str) -> None:
    assert refused(text)[0].startswith(message)
