"""Value patterns against Istio's table and the contract's own words."""

import json

import pytest

from gateway.kernel.patterns.values import compile_values
from tests.conformance import vectors


def table(name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(vectors("authz/istio_matcher_tables.json").read_text())[name]
    return rows


def test_istio_string_match_table() -> None:
    judged = 0
    for row in table("string_match_path"):
        pattern, value = str(row["pattern"]), row["value"]
        if pattern.startswith("*") and pattern.endswith("*") and pattern != "*":
            with pytest.raises(ValueError, match='write "'):
                compile_values([pattern])  # Istio reads it as a prefix; the contract refuses it
            continue
        matched = isinstance(value, str) and compile_values([pattern])(value)
        assert matched == row["match"], row
        judged += 1
    assert judged > 80


def test_istio_wildcard_validity_table() -> None:
    for row in table("wildcard_value_validity"):
        if row["valid"]:
            assert compile_values([str(row["value"])])("xfoox") in (True, False)
        else:
            with pytest.raises(ValueError, match="write"):
                compile_values([str(row["value"])])


@pytest.mark.parametrize("pattern", ["a*b", "*a*", "**", "a**", "", "*a*b"])
def test_a_star_elsewhere_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="write"):
        compile_values([pattern])


@pytest.mark.parametrize(
    ("patterns", "hits", "misses"),
    [
        (["/a/*"], ["/a/", "/a/b"], ["/a", "/ab"]),
        (["/a*"], ["/a", "/ab", "/a/b"], ["/", "/b"]),
        (["*"], ["x", " "], [""]),
        (["a", "b*", "*c"], ["a", "b", "bx", "c", "xc"], ["ax", "cx", ""]),
        (["*c"], ["c", "xc"], ["cx"]),
        (["spiffe://cluster.local/*"], ["spiffe://cluster.local/ns/a"], ["spiffe://cluster.local.evil/ns/a"]),
    ],
    ids=["prefix-slash", "prefix", "present", "mixed", "suffix", "Z6-domain-prefix"],
)
def test_whole_values_are_matched(patterns: list[str], hits: list[str], misses: list[str]) -> None:
    match = compile_values(patterns)
    assert [match(value) for value in hits] == [True] * len(hits)
    assert [match(value) for value in misses] == [False] * len(misses)


def test_ignoring_case_folds_the_pattern() -> None:
    assert compile_values(["Example.*"], ignore_case=True)("example.com")
    assert not compile_values(["Example.*"])("example.com")
