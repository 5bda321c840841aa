"""What the attributes are read from, and which names they refuse."""

import pytest

from gateway.model.json import JSON
from gateway.stages.authorize.attributes import claim, header, strings


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("a b", ("a b",)),
        (["a", 1, None, ["b"], "c"], ("a", "c")),
        ([], ()),
        (7, ()),
        (True, ()),
        (None, ()),
        ({"a": "b"}, ()),
    ],
)
def test_only_strings_are_strings(value: JSON, read: tuple[str, ...]) -> None:
    assert strings(value) == read


@pytest.mark.parametrize("name", ["", ":scheme", "x y", "x\n", "ü"])
def test_Z7_what_is_no_header_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="header name"):
        header(name)


@pytest.mark.parametrize("keys", [[], [""], ["a", ""]])
def test_Z7_a_claim_without_a_name_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="NAME"):
        claim(keys, {})
