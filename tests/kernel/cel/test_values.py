from collections import UserDict, UserList

from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.cel.values import Duration, Failure, Kind, Timestamp, Uint, equal, kind_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def test_every_value_has_one_kind() -> None:
    values: tuple[object, ...] = (True, 1, Uint(1), 1.0, "", b"", None, [], (), {}, Timestamp(1), Duration(1))
    assert [kind_of(value).name for value in values] == [
        "BOOL", "INT", "UINT", "DOUBLE", "STRING", "BYTES", "NULL", "LIST", "LIST", "MAP", "TIMESTAMP", "DURATION",
    ]  # fmt: skip
    assert kind_of(object()) is Kind.ANY
    assert kind_of(UserDict()) is Kind.MAP
    assert kind_of(UserList()) is Kind.LIST


def test_times_are_no_numbers() -> None:
    assert not equal(Timestamp(1), 1)
    assert not equal(Duration(1), Timestamp(1))
    assert equal(Duration(1), Duration(1))
    assert equal(Uint(1), 1)
    assert not equal(True, 1)


@given(JSON)
def test_everything_is_equal_to_itself(value: object) -> None:
    assert equal(value, value)


@given(JSON, JSON)
def test_equality_is_symmetric(left: object, right: object) -> None:
    assert equal(left, right) is equal(right, left)


def test_what_is_nested_without_end_is_equal_to_nothing() -> None:
    deep: list[object] = []
    for _ in range(10000):
        deep = [deep]
    assert not equal(deep, deep)


def test_a_failure_says_where() -> None:
    assert str(Failure("a is absent", 2, 3)) == "a is absent (at 2:3 of the expression)"
