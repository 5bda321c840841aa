"""`forward.headers`: what a claim becomes in a field (contract section 6)."""

import pytest

from gateway.model.json import JSON
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.claims import compile_value, literal_or_claim


@pytest.mark.parametrize(
    ("claim", "written"),
    [
        ("alice", b"alice"),
        ("", b""),
        ("a, b", b"a, b"),
        ("100%", b"100%"),
        ("Zoë", b"Zo%C3%AB"),
        ("日本", b"%E6%97%A5%E6%9C%AC"),
        (["a", "b"], b"a,b"),
        (["ä"], b"%C3%A4"),
        ([], None),
        ([1, True], b"1,true"),
        (7, b"7"),
        (1.5, b"1.5"),
        (True, b"true"),
        (False, b"false"),
        (None, None),
    ],
)
def test_values(claim: JSON, written: bytes | None) -> None:
    assert compile_value(("x",))({"x": claim}) == written


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param("a\r\nx-user: root", id="H18-line-break"),
        pytest.param("a\nb", id="H18-line-feed"),
        pytest.param("a\0b", id="H18-nul"),
        pytest.param("a\tb", id="H18-tab"),
        pytest.param("a\x7fb", id="H18-del"),
        pytest.param("ä\r\nx: y", id="H18-line-break-beside-non-ascii"),
        pytest.param(" root", id="H18-leading-space"),
        pytest.param("root ", id="H18-trailing-space"),
        pytest.param(["a", "b,c"], id="H18-comma-in-an-element"),
        pytest.param([["a"]], id="H18-nested-list"),
        pytest.param([None], id="H18-null-in-a-list"),
        pytest.param({"a": 1}, id="H18-object"),
        pytest.param("\ud800", id="H18-lone-surrogate"),
    ],
)
def test_what_could_be_read_as_another_value_is_refused(claim: JSON) -> None:
    with pytest.raises(Refused) as refused:
        compile_value(("x",))({"x": claim})
    assert refused.value.reason is Reason.BAD_REQUEST
    assert "root" not in str(refused.value)


def test_C1_controls_are_percent_encoded_with_every_other_non_ascii_character() -> None:
    assert compile_value(("x",))({"x": "a\x85b"}) == b"a%C2%85b"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("claims.sub", ("sub",)),
        ("claims.realm_access.roles", ("realm_access", "roles")),
        ('claims["https://x.example/id"]', ("https://x.example/id",)),
        ("claims[a][b].c", ("a", "b", "c")),
    ],
)
def test_claim_paths(text: str, path: tuple[str, ...]) -> None:
    assert literal_or_claim(text) == path


@pytest.mark.parametrize("text", ["'web'", '"web"'])
def test_literals(text: str) -> None:
    assert literal_or_claim(text) == "web"
    assert compile_value("web")(None) == b"web"


@pytest.mark.parametrize(
    "text", ["sub", "claims", "claims.", "claims..a", "claims[a", "claimsx", "'a\nb'", "' a'", "'ä'", "user.x"]
)
def test_what_is_neither_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|literal holds"):
        literal_or_claim(text)


def test_an_absent_claim_is_no_field() -> None:
    value = compile_value(("a", "b"))
    assert (value(None), value({}), value({"a": "x"}), value({"a": {}}), value({"a": {"b": "y"}})) == (
        None,
        None,
        None,
        None,
        b"y",
    )
