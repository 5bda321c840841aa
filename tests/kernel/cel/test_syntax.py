import pytest

from tests.kernel.cel.language import program


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("claims.realm.roles == ['x']", {("claims", "realm", "roles")}),
        ("claims['a']['b'] == 'x'", {("claims", "a", "b")}),
        ("has(claims.a) && text == 'x'", {("claims", "a"), ("text",)}),
        ("claims.list[0].name == 'x'", {("claims", "list")}),
        ("claims.a.startsWith(claims.b)", {("claims", "a"), ("claims", "b")}),
        ("'k' in claims", {("claims", "k")}),
        ("'k' in claims.roles", {("claims", "roles"), ("claims", "roles", "k")}),
        ("claims.roles.exists(r, r.name == claims.sub)", {("claims", "roles"), ("claims", "sub")}),
        ("[claims.a, text] == [1, 'x'] ? true : !(claims.c == {'k': claims.d})",
         {("claims", "a"), ("text",), ("claims", "c"), ("claims", "d")}),
        ("1 == 1", set()),
    ],
)  # fmt: skip
def test_what_an_expression_reads_is_known_by_its_whole_way(text: str, paths: set[tuple[str, ...]]) -> None:
    assert program(text).reads == paths
