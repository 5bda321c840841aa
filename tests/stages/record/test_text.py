"""No value can leave its string or its line."""

import json

import pytest

from gateway.model.json import JSON
from gateway.stages.record.text import Stamp, json_text, quote, quote_or_null


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        'a"b\\c',
        "two\nlines\r",
        "nul\x00 esc\x1b[31m del\x7f csi\x9b",
        "line\u2028separator\u0085",
        "ünï😀",
        "\ud800 alone",
        '","effect":"allow',
    ],
)
def test_a_string_comes_back_as_it_was_and_is_one_line_of_printable_ascii(value: str) -> None:
    text = quote(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert text.isprintable()


def test_null() -> None:
    assert quote_or_null(None) == "null"


@pytest.mark.parametrize(
    "value", [[], ["a", 'b"'], ["a", 1], {"a": {"b": [None, True, 1.5]}}, ("x",), 0, False, None, {"\n": "\x1b"}]
)
def test_any_json_value_without_spaces(value: JSON) -> None:
    text = json_text(value)
    assert json.loads(text) == (list(value) if isinstance(value, tuple) else value)
    assert " " not in text
    assert text.isprintable()


def test_what_json_has_no_word_for_is_null() -> None:
    assert json_text(float("nan")) == "null"
    deep: JSON = []
    for _ in range(100_000):
        deep = [deep]
    assert json_text(deep) == "null"


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_800_000_000.25, "2027-01-15T08:00:00.250000Z"),
        (1_800_000_000.75, "2027-01-15T08:00:00.750000Z"),
    ],
)
def test_time(now: float, text: str) -> None:
    stamp = Stamp()
    assert stamp(now) == text
    assert stamp(now) == text
