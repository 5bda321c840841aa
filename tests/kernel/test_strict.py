"""One reading of JSON and base64url."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.strict import NotStrict, decode_base64url, parse_json, parse_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_writes_is_read_as_it_was(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=70))
def test_each_octet_string_has_exactly_one_spelling(octets: bytes) -> None:
    spelled = base64.urlsafe_b64encode(octets).rstrip(b"=")
    assert decode_base64url(spelled) == octets


@given(st.binary(max_size=12))
def test_whatever_decodes_is_the_spelling_of_what_it_decodes_to(data: bytes) -> None:
    try:
        octets = decode_base64url(data)
    except NotStrict:
        return
    assert base64.urlsafe_b64encode(octets).rstrip(b"=") == data


@pytest.mark.parametrize("data", [b"A", b"AA==", b"AB", b"A A", b"AA\n", b"+/8", b"AA=A", b"A\xff", b"AAAAA", b"="])
def test_another_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(NotStrict):
        decode_base64url(data)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"a":1,"a":1}', id="repeated"),
        pytest.param(b'{"a":1,"\\u0061":1}', id="repeated-after-unescaping"),
        pytest.param(b'[{"b":{"a":1,"a":1}}]', id="repeated-below"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param("{}".encode("utf-16"), id="utf-16"),
        pytest.param(b'"\xff"', id="not-utf-8"),
        pytest.param(b'"\\ud800"', id="lone-surrogate"),
        pytest.param(b'{"\\udfff":1}', id="lone-surrogate-in-a-name"),
        pytest.param(b'{"a":["\\udfff"]}', id="lone-surrogate-below"),
        pytest.param(b"NaN", id="nan"),
        pytest.param(b"[Infinity]", id="infinity"),
        pytest.param(b"-Infinity", id="minus-infinity"),
        pytest.param(b"1e999", id="overflow"),
        pytest.param(b"1" * 21, id="over-20-digits"),
        pytest.param(b"[" * 25 + b"]" * 25, id="too-deep"),
        pytest.param(b"[" * 100_000, id="far-too-deep"),
        pytest.param(b"[" + b"0," * 4096 + b"0]", id="too-many"),
        pytest.param(b"{}{}", id="two-values"),
        pytest.param(b"{} x", id="something-behind"),
        pytest.param(b"{}\x00", id="a-zero-behind"),
        pytest.param("{}\u00a0".encode(), id="another-white-space-behind"),
        pytest.param(b"\x0b{}", id="another-white-space-before"),
        pytest.param(b'{"a":' * 24 + b"1" + b"}" * 24, id="objects-too-deep"),
        pytest.param(b'{"a":[' + b"{}," * 4095 + b"{}]}", id="too-many-objects"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"{'a':1}", id="single-quotes"),
        pytest.param(b'"\x01"', id="control-character"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text: bytes) -> None:
    with pytest.raises(NotStrict) as refused:
        parse_json(text)
    assert "\\ud" not in str(refused.value)


def test_the_limits_themselves_pass() -> None:
    assert parse_json(b"[" * 23 + b"]" * 23) is not None
    assert len(list(parse_object(b'{"a":[' + b"0," * 4000 + b"0]}")["a"])) == 4001  # type: ignore[arg-type]
    assert parse_json(b'{"a":' * 23 + b"1" + b"}" * 23) is not None
    assert len(list(parse_object(b'{"a":[' + b"{}," * 4094 + b"{}]}")["a"])) == 4095  # type: ignore[arg-type]
    assert parse_json(b' \t{"a": "[{,"}\r\n') == parse_json(b'{"a":"[{,"}\n ')
    assert parse_json(b"1" * 20) == int("1" * 20)
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("text", [b"[]", b'"a"', b"1", b"null"])
def test_an_object_is_an_object(text: bytes) -> None:
    with pytest.raises(NotStrict, match="not a JSON object"):
        parse_object(text)
