"""The normalised path (P1 to P6) against the public vectors and by property."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.patterns.paths import AmbiguousPath, compile_normaliser, compile_path, compile_paths
from tests.conformance import vectors

normalise = compile_normaliser()
merging = compile_normaliser(merge_slashes=True)
keeping = compile_normaliser(keep_encoded_slash=True)
with_semicolons = compile_normaliser(keep_semicolon=True)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        pytest.param(b"/", "/", id="P1-root"),
        pytest.param(b"/a/b", "/a/b", id="P1-plain"),
        pytest.param(b"/a/", "/a/", id="P1-trailing-slash-kept"),
        pytest.param(b"/A/b", "/A/b", id="P5-case-kept"),
        pytest.param(b"/%61%2D%7e", "/a-~", id="P1-unreserved-decoded"),
        pytest.param(b"/caf%c3%a9", "/caf%C3%A9", id="P1-others-upper"),
        pytest.param(b"/a%20b", "/a%20b", id="P1-space-kept"),
        pytest.param(b"/a%3fb", "/a%3Fb", id="P6-encoded-question-mark-stays-path"),
        pytest.param(b"/a/../b", "/b", id="P2-dot-segment"),
        pytest.param(b"/a/%2e%2E/b", "/b", id="P2-encoded-dot-segment"),
        pytest.param(b"/a/.%2e/b", "/b", id="P2-half-encoded-dot-segment"),
        pytest.param(b"/a/./b/.", "/a/b/", id="P2-single-dots"),
        pytest.param(b"/a/b/..", "/a/", id="P2-dots-at-the-end"),
        pytest.param(b"/a/..", "/", id="P2-back-to-the-root"),
        pytest.param(b"/.well-known/x", "/.well-known/x", id="P2-dot-file"),
        pytest.param(b"/a/...", "/a/...", id="P2-three-dots"),
        pytest.param(b"/100%25", "/100%25", id="P2-percent"),
        pytest.param(b"/a%2520b", "/a%2520b", id="P2-doubly-encoded-space"),
        pytest.param(b"/a|b[c]", "/a|b[c]", id="P1-what-browsers-send"),
    ],
)
def test_one_normal_form(raw: bytes, path: str) -> None:
    assert normalise(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"/a%2Fb", id="P2-encoded-slash"),
        pytest.param(b"/a%2fb", id="P2-encoded-slash-lower"),
        pytest.param(b"/a%5Cb", id="P2-encoded-backslash"),
        pytest.param(b"/a\\b", id="P2-backslash"),
        pytest.param(b"/a%00", id="P2-nul"),
        pytest.param(b"/a\x01", id="P2-control"),
        pytest.param(b"/a\x7f", id="P2-delete"),
        pytest.param(b"/a b", id="P2-space"),
        pytest.param(b"/caf\xc3\xa9", id="P2-raw-utf8"),
        pytest.param(b"/%c0%af", id="P2-overlong"),
        pytest.param(b"/%ff", id="P2-not-utf8"),
        pytest.param(b"/%ed%a0%80", id="P2-surrogate"),
        pytest.param(b"/a%", id="P2-broken-end"),
        pytest.param(b"/a%2", id="P2-broken-short"),
        pytest.param(b"/a%zz", id="P2-broken-digits"),
        pytest.param(b"/a%+1", id="P2-broken-sign"),
        pytest.param(b"/a% 1", id="P2-broken-space"),
        pytest.param(b"/a%%32e", id="P2-broken-nested"),
        pytest.param(b"/a#b", id="P2-fragment"),
        pytest.param(b"/%252e%252e/b", id="P2-doubly-encoded-dot"),
        pytest.param(b"/a%252fb", id="P2-doubly-encoded-slash"),
        pytest.param(b"/a%255cb", id="P2-doubly-encoded-backslash"),
        pytest.param(b"/a%2525", id="P2-doubly-encoded-percent"),
        pytest.param(b"/a%25%32%65", id="P2-doubly-encoded-in-pieces"),
        pytest.param(b"/a%25%32e", id="P2-doubly-encoded-half"),
        pytest.param(b"/..", id="P2-above-the-root"),
        pytest.param(b"/../a", id="P2-above-the-root-and-down"),
        pytest.param(b"/a/../../b", id="P2-above-the-root-later"),
        pytest.param(b"/%2e%2e/a", id="P2-above-the-root-encoded"),
        pytest.param(b"//a", id="P3-two-slashes-first"),
        pytest.param(b"/a//b", id="P3-two-slashes"),
        pytest.param(b"/a//", id="P3-two-slashes-last"),
        pytest.param(b"//evil.example/x", id="P3-authority"),
        pytest.param(b"/a;x=1/b", id="P4-parameter"),
        pytest.param(b"/a/..;/b", id="P4-dots-with-parameter"),
        pytest.param(b"a/b", id="P1-no-slash"),
        pytest.param(b"", id="P1-empty"),
        pytest.param(b"http://evil/x", id="H7-absolute-form-is-no-path"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(AmbiguousPath):
        normalise(raw)


@pytest.mark.parametrize(
    ("lax", "raw", "path"),
    [
        pytest.param(merging, b"/a//b///c", "/a/b/c", id="P3-merge"),
        pytest.param(merging, b"//evil/x", "/evil/x", id="P3-merge-no-authority"),
        pytest.param(merging, b"/a//", "/a/", id="P3-merge-last"),
        pytest.param(merging, b"//", "/", id="P3-merge-root"),
        pytest.param(keeping, b"/a%2fb", "/a%2Fb", id="P2-keep-encoded-slash"),
        pytest.param(with_semicolons, b"/a;v=1/b", "/a;v=1/b", id="P4-keep"),
        pytest.param(with_semicolons, b"/a/;v=1/b", "/a/;v=1/b", id="P4-keep-parameter-alone"),
    ],
)
def test_a_listener_may_say_otherwise(lax: Callable[[bytes], str], raw: bytes, path: str) -> None:
    assert lax(raw) == path


@pytest.mark.parametrize(
    ("lax", "raw"),
    [
        pytest.param(keeping, b"/a/..%2fb", id="P2-kept-slash-hides-no-dots"),
        pytest.param(keeping, b"/a/%2e%2e%2Fadmin", id="P2-kept-slash-hides-no-encoded-dots"),
        pytest.param(keeping, b"/a%5cb", id="P2-kept-slash-is-no-backslash"),
        pytest.param(keeping, b"/a%252fb", id="P2-kept-slash-not-twice"),
        pytest.param(with_semicolons, b"/..;/admin", id="P4-dots-with-parameter"),
        pytest.param(with_semicolons, b"/a/.;x/admin", id="P4-dot-with-parameter"),
        pytest.param(with_semicolons, b"/a//b", id="P3-still-refused"),
        pytest.param(merging, b"/a/../../b", id="P2-still-refused"),
    ],
)
def test_a_laxer_listener_still_refuses_tricks(lax: Callable[[bytes], str], raw: bytes) -> None:
    with pytest.raises(AmbiguousPath):
        lax(raw)


def test_envoy_canonical_paths_agree_or_are_refused() -> None:
    table = json.loads(vectors("path/envoy_path_utility.json").read_text())
    agreed = 0
    for raw, canonical in table["canonical_path"]:
        try:
            assert normalise(raw.encode()) == canonical
            agreed += 1
        except AmbiguousPath:
            assert any(trick in raw.lower() for trick in ("\\", "%2f", "%5c", "%c0")) or raw[:1] != "/" or ".." in raw
    assert agreed >= 8
    for raw in table["canonical_path_rejected"]:
        with pytest.raises(AmbiguousPath):
            normalise(raw.encode())


def test_envoy_merged_slashes() -> None:
    for raw, merged in json.loads(vectors("path/envoy_path_utility.json").read_text())["merge_slashes"]:
        path, _, _ = raw.partition("?")
        if path.startswith("/"):
            assert merging(path.encode()) == merged.partition("?")[0]


def test_rfc3986_dot_segments() -> None:
    judged = 0
    for reference, target in json.loads(vectors("path/rfc3986_5_4.json").read_text())["cases"]:
        path = reference.partition("#")[0].partition("?")[0]
        if not path or ":" in path or path.startswith("//"):
            continue
        raw = path if path.startswith("/") else f"/b/c/{path}"
        expected = target.partition("#")[0].partition("?")[0].removeprefix("http://a")
        try:
            assert with_semicolons(raw.encode()) == expected, reference
            judged += 1
        except AmbiguousPath:
            assert reference.count("..") > 2 or reference.startswith("/..")
    assert judged > 20


@given(st.binary(max_size=24))
def test_normalising_is_idempotent_and_clean(tail: bytes) -> None:
    for each in (normalise, merging, keeping, with_semicolons):
        try:
            path = each(b"/" + tail)
        except AmbiguousPath:
            continue
        assert each(path.encode("ascii")) == path
        assert path.startswith("/")
        assert "//" not in path
        assert not {".", ".."} & set(path.split("/"))


@given(st.text(alphabet="/.%2eEfF5c;ab\\", max_size=16))
def test_no_spelling_of_dots_and_slashes_slips_through(tail: str) -> None:
    try:
        path = normalise(f"/{tail}".encode())
    except AmbiguousPath:
        return
    assert normalise(path.encode()) == path
    assert not {".", ".."} & set(path.split("/"))
    assert "%2F" not in path.upper()
    assert "\\" not in path


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("api", 'write "/api"'),
        ("/a?x=1", 'write "/a"'),
        ("/café", 'write "/caf%C3%A9"'),
        ("/a b", 'write "/a%20b"'),
        ("/a/../b", 'write "/b"'),
        ("/%61", 'write "/a"'),
        ("/caf%c3%a9", "%C3%A9"),
        ("/a//b", "empty segment"),
        ("/a\\b", "backslash"),
        ("/a%00", "NUL"),
        ("/a*b", "write"),
        ("/{id}", "operator"),
    ],
)
def test_a_pattern_that_never_matches_says_what_to_write(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        compile_path(pattern)


def test_P7_a_prefix_without_its_slash_is_a_string_prefix() -> None:
    match = compile_path("/admin*")
    assert match("/administrator")
    assert not compile_path("/admin/*")("/administrator")


def test_templates_and_values_of_one_field_are_alternatives() -> None:
    match = compile_paths(["/a/{*}", "/b/*", "*.png"])
    assert [match(path) for path in ("/a/x", "/b/x/y", "/c/x.png", "/a/x/y")] == [True, True, True, False]
    assert compile_paths(["/a/{*}", "/b/{**}"])("/b/x/y")
    assert not compile_paths(["/a/{*}"])("/a/")
