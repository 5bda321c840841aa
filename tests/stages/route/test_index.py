"""The index gives exactly the patterns that match, whatever their kind."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.patterns.paths import compile_path
from gateway.stages.route.index import PathIndex

PATTERNS = [
    "/", "/*", "/a", "/a/", "/a/*", "/a*", "/a/b/*", "/a/b", "*", "*b", "*/b", "*.png", "/ab*", "/a/b*",
    "/{*}", "/{**}", "/a/{*}", "/a/{*}/b", "/{*}/b", "/a/{**}", "/a/{**}/b", "/{*}/a/{**}", "/{*}/{**}/b/a", "/a/{*}/",
]  # fmt: skip


@given(st.text(alphabet="ab/.pngx", max_size=10).map(lambda tail: "/" + tail))
def test_candidates_are_exactly_the_patterns_that_match(path: str) -> None:
    index: PathIndex[str] = PathIndex()
    for pattern in PATTERNS:
        index.add(pattern, pattern)
    assert sorted(index.candidates(path)) == sorted(p for p in PATTERNS if compile_path(p)(path))
