"""`gateway who`: documents, pages and exit codes."""

import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.control.policy_config import place, write

ROUTES = """
- name: api
  match: {paths: ["/api/*"]}
  upstream: api
  requires: {scopes: [read]}
  allow: [{name: readers, from: {request_principals: ["*"]}, to: {methods: [GET]}}]
- {name: hello, match: {paths: [/hello]}, public: true, respond: {}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path, routes=ROUTES)


def test_the_documents_shape(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "-c", str(file), "--json", "GET", "https://api.example.com/api/x"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "anyone": False,
        "principals": [
            {
                "principal": "*", "kind": "user", "route": "api", "rule": "readers",
                "where": place(file, "{name: readers"), "conditions": ["the token must have the scope read"],
            }
        ],
    }  # fmt: skip
    assert main(["who", "-c", str(file), "--json", "GET", "/hello"]) == 0
    assert json.loads(capsys.readouterr().out)["anyone"] is True
    assert main(["who", "-c", str(file), "--json", "PUT", "/api/x"]) == 1
    assert json.loads(capsys.readouterr().out) == {"anyone": False, "principals": []}


def test_people_read_it_at_a_glance(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "-c", str(file), "GET", "/api/x"]) == 0
    page = capsys.readouterr().out
    assert "api: readers" in page
    assert "  whoever has a token\n    the token must have the scope read" in page
    assert main(["who", "-c", str(file), "PUT", "/api/x"]) == 1
    assert "NOBODY  PUT /api/x: no rule lets anybody in" in capsys.readouterr().out
    assert main(["who", "-c", str(file), "GET", "/nowhere"]) == 1
    assert "nothing is served there" in capsys.readouterr().out
    assert main(["who", "-c", str(file), "GET", "/hello"]) == 0
    assert capsys.readouterr().out.startswith("ANYONE")


@pytest.mark.parametrize("args", [["GET", "ftp://x"], ["GET", "/api/%00"], ["GET", "/api/x", "--listener", "no"]])
def test_what_cannot_be_told(file: Path, args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "-c", str(file), "--json", *args]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["message"]
