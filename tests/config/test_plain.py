"""Plain scalars: the core schema, and where an expression's characters stand."""

import pytest

from gateway.config.plain import Expression, Number, Text, core_scalar
from gateway.model.place import Place


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~", None), ("null", None), ("", None), ("true", True), ("FALSE", False), ("12", 12), ("-3", -3), ("0x1F", 31),
        ("0o17", 15), ("1.5", 1.5), ("1e3", 1000.0), (".inf", float("inf")),
        ("on", "on"), ("yes", "yes"), ("0777", "0777"), ("1:30", "1:30"), ("1_000", "1_000"), ("text", "text"),
    ],
)  # fmt: skip
def test_a_plain_scalar_is_what_yaml_1_2_says(text: str, value: object) -> None:
    found = core_scalar(text)
    assert found == value
    assert not isinstance(value, str) or type(found) is Text
    assert not isinstance(value, float) or type(found) is Number


def test_an_expression_knows_its_characters_only_as_it_is_written() -> None:
    written = Expression.at("a == b", Place("f", 3, 7))
    assert written.place(1, 6) == Place("f", 3, 12)
    assert written.place(2, 1) is None
    assert Expression.at("a == b", None).place(1, 6) is None
