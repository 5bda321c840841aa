import pytest

from tests.kernel.cel.language import outcome

ABSENT_A, ABSENT_B = "a is absent", "b is absent"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a == 1 && false", False),
        ("false && a == 1", False),
        ("a == 1 && true", ABSENT_A),
        ("true && a == 1", ABSENT_A),
        ("a == 1 || true", True),
        ("true || a == 1", True),
        ("a == 1 || false", ABSENT_A),
        ("a == 1 || b == 1", ABSENT_A),
        ("a == 1 && b == 1 && false", False),
        ("true && a == 1 && b == 1", ABSENT_A),
        ("false || a == 1 || true", True),
        ("false || false || b == 1", ABSENT_B),
        ("!(a == 1)", ABSENT_A),
        ("a == 1 ? true : true", ABSENT_A),
        ("true ? true : a == 1", True),
        ("false ? a == 1 : false", False),
        ("dyn('x') || true", True),
        ("dyn('x') && false", False),
        ("text == 'x' || dyn(1) || text == 'y'", "it is neither true nor false"),
    ],
)
def test_and_and_or_absorb_a_failure_where_the_other_side_decides(text: str, expected: object) -> None:
    assert outcome(text) == expected


def test_a_value_that_is_no_boolean_is_a_failure_where_one_is_asked_for() -> None:
    assert outcome("a && true", a="x") == "it is neither true nor false"
    assert outcome("true && a", a="x") == "it is neither true nor false"
    assert outcome("!a", a=1) == "it is neither true nor false"
    assert outcome("a ? true : false", a=1) == "it is neither true nor false"
    assert outcome("a", a=1) == "the condition is neither true nor false"
    assert outcome("true ? a : b", a=1) == "the condition is neither true nor false"
    assert outcome("a", a=True) is True


@pytest.mark.parametrize(
    ("text", "a", "expected"),
    [
        ("a == 'x'", "x", True),
        ("a == 'x'", "y", False),
        ("a != 'x'", "y", True),
        ("a == 'x'", 1, False),
        ("a != 'x'", 1, True),
        ("'x' == a", "x", True),
        ("a == 1", "1", False),
        ("a == 1", True, False),
        ("a == true", 1, False),
        ("a == true", True, True),
        ("a == 1", 1.0, True),
        ("a == 1u", 1, True),
        ("a == 9007199254740993", 9007199254740992.0, False),
        ("a == null", None, True),
        ("a == null", 0, False),
        ("a == [1, 2.0]", [1.0, 2], True),
        ("a == [1]", [True], False),
        ("a == [1]", [1, 1], False),
        ("a == {'k': [1]}", {"k": [1]}, True),
        ("a == {'k': 1}", {"k": 1, "l": 1}, False),
        ("a == {'k': 1}", {"l": 1}, False),
        ("a != {'k': 1}", {"l": 1}, True),
        ("a == a", float("nan"), False),
        ("a != a", float("nan"), True),
        ("a == b'x'", "x", False),
        ("a == text", "some text", True),
        ("a != text", "some text", False),
    ],
)
def test_equality_never_converts_and_compares_numbers_by_value(text: str, a: object, expected: bool) -> None:
    assert outcome(text, a=a) is expected


@pytest.mark.parametrize(
    ("text", "a", "expected"),
    [
        ("a < 2", 1, True),
        ("a < 2", 2, False),
        ("a <= 2", 2, True),
        ("a > 2", 2, False),
        ("a >= 2", 2.5, True),
        ("a < 1.5", 1, True),
        ("a < 18446744073709551615u", -1, True),
        ("a < 'b'", "a", True),
        ("a < true", False, True),
        ("a < b'b'", "a", "'<' cannot take values of these types"),
        ("a < 2", "1", "'<' cannot take values of these types"),
        ("a < 2", None, "'<' cannot take values of these types"),
        ("a < 2", [1], "'<' cannot take values of these types"),
        ("a < 2", True, "'<' cannot take values of these types"),
        ("a > 0", float("nan"), False),
        ("a <= 0", float("nan"), False),
    ],
)
def test_order_is_of_one_type_or_of_numbers(text: str, a: object, expected: object) -> None:
    assert outcome(text, a=a) == expected


def test_a_failure_on_either_side_of_an_operator_is_its_failure() -> None:
    assert outcome("a < b", b=1) == ABSENT_A
    assert outcome("a < b", a=1) == ABSENT_B
    assert outcome("a == b", b=1) == ABSENT_A
    assert outcome("a == b", a=1) == ABSENT_B
    assert outcome("a + b == 1", a=1) == ABSENT_B
    assert outcome("a in b", a="x") == ABSENT_B
    assert outcome("a in b", b=["x"]) == ABSENT_A
    assert outcome("[a] == [1]") == ABSENT_A
    assert outcome("{'k': a} == {'k': 1}") == ABSENT_A


@pytest.mark.parametrize(
    ("text", "request_", "expected"),
    [
        ("a in ['x', 'y']", {"a": "y"}, True),
        ("a in ['x', 'y']", {"a": "z"}, False),
        ("a in ['x', 'y']", {"a": ["x"]}, False),
        ("a in []", {"a": "z"}, False),
        ("a in [1, 'x']", {"a": 1.0}, True),
        ("a in [1, 'x']", {"a": True}, False),
        ("'x' in a", {"a": ["w", "x"]}, True),
        ("'x' in a", {"a": ("w", "x")}, True),
        ("'x' in a", {"a": {"x": 1}}, True),
        ("'x' in a", {"a": {"y": 1}}, False),
        ("'x' in a", {"a": "xyz"}, "a is neither a list nor a map"),
        ("'x' in a", {"a": 1}, "a is neither a list nor a map"),
        ("b in a", {"a": ["w"], "b": "w"}, True),
        ("b in a", {"a": {"w": 1}, "b": "w"}, True),
        ("b in a", {"a": {"w": 1}, "b": 1}, False),
        ("b in a", {"a": "w", "b": "w"}, "a is neither a list nor a map"),
        ("1 in a", {"a": [1.0]}, True),
        ("1 in a", {"a": [True, "1"]}, False),
    ],
)
def test_in_looks_into_lists_and_the_keys_of_maps_and_never_into_strings(
    text: str, request_: dict[str, object], expected: object
) -> None:
    assert outcome(text, **request_) == expected


@pytest.mark.parametrize(
    ("text", "a", "expected"),
    [
        ("a[0] == 'x'", ["x"], True),
        ("a[1] == 'x'", ["x"], "a[1] is absent"),
        ("a[-1] == 'x'", ["x"], "a[-1] is absent"),
        ("a[0] == 'x'", "xyz", "a has no members"),
        ("a.k == 'x'", {"k": "x"}, True),
        ("a.k.l == 'x'", {"k": {"l": "x"}}, True),
        ("a['k'] == 'x'", {"k": "x"}, True),
        ("a.k == 'x'", {}, "a.k is absent"),
        ("a.k == null", {"k": None}, True),
        ("a.k == 'x'", ["k"], "a has no members"),
        ("a.k.l == 'x'", {"k": "l"}, "a.k has no members"),
        ("has(a.k)", {"k": None}, True),
        ("has(a.k)", {}, False),
        ("has(a.k.l)", {}, "a.k is absent"),
        ("has(a.k)", "k", "a has no members"),
        ("[1, 2, 3][1] == 2", None, True),
        ("{'k': 1}.k == 1", None, True),
    ],
)
def test_members_of_lists_and_maps(text: str, a: object, expected: object) -> None:
    assert outcome(text, a=a) == expected
