"""`gateway test`: exit codes, documents and pages."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.testing.pki import Folder
from tests.control.policy_config import place, write

ROUTES = """
- name: api
  match: {paths: ["/api/*"]}
  upstream: api
  allow:
    - {name: readers, from: {request_principals: ["*"]}, to: {methods: [GET]}}
    - {name: writers, from: {namespaces: [ops]}, to: {methods: [PUT]}}
"""
PASSING = "- {name: reads, request: {url: /api/x}, token: {claims: {sub: a}}, expect: {rule: readers}}\n"
FAILING = '- {name: "writes <&\\"", request: {method: PUT, url: /api/x}, token: {claims: {sub: a}}, expect: {effect: allow, status: 200}}\n'  # noqa: E501


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "policy-tests").mkdir()
    return write(tmp_path, routes=ROUTES)


def put(config: Path, name: str, *tests: str) -> Path:
    file = config.parent / "policy-tests" / name
    file.write_text("config: ../routes.yaml\ntests:\n" + "".join(tests), encoding="utf-8")
    return file


def document(config: Path, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any]]:
    code = main(["-c", str(config), "test", "--json", *args])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def test_the_documents_shape(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = put(config, "a.yaml", PASSING, FAILING)
    code, found = document(config, capsys)
    assert code == 1
    assert (found["passed"], found["failed"]) == (1, 1)
    assert found["tests"] == [
        {
            "name": "reads", "file": str(file), "line": 3, "passed": True, "expected": {"rule": "readers"},
            "actual": {
                "effect": "allow", "status": None, "reason": None, "route": "api", "rule": "readers",
                "where": place(config, "{name: readers"),
            },
        },
        {
            "name": 'writes <&"', "file": str(file), "line": 4, "passed": False,
            "expected": {"effect": "allow", "status": 200},
            "actual": {
                "effect": "deny", "status": 403, "reason": "no_rule_allows", "route": "api", "rule": None,
                "where": place(config, "name: api"),
            },
        },
    ]  # fmt: skip
    assert found["coverage"] == {
        "percent": 50.0,
        "other_side": 100.0,
        "rules": [
            {
                "rule": name, "route": "api", "where": place(config, f"{{name: {name}"), "hits": hits,
                "misses": 2 - hits,
            }
            for name, hits in (("readers", 1), ("writers", 0))
        ],
    }  # fmt: skip


def test_files_are_found_beside_the_config_and_run_in_order(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(config, "b.yaml", PASSING.replace("reads", "second"))
    put(config, "a.yaml", PASSING.replace("reads", "first"))
    code, found = document(config, capsys)
    assert code == 0
    assert [test["name"] for test in found["tests"]] == ["first", "second"]
    code, found = document(config, capsys, str(config.parent / "policy-tests" / "b.yaml"))
    assert [test["name"] for test in found["tests"]] == ["second"]


@pytest.mark.parametrize(("wanted", "code"), [("50", 0), ("50.1", 1), ("0", 0)])
def test_too_little_coverage_fails(config: Path, wanted: str, code: int) -> None:
    put(config, "a.yaml", PASSING)
    assert main(["-c", str(config), "test", "--min-coverage", wanted]) == code


def test_what_cannot_be_used_is_exit_code_2(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(config, capsys)
    assert (code, "no tests" in found["error"]["message"]) == (2, True)
    file = put(config, "a.yaml", "- {name: a, request: {url: /}, expect: {efect: allow}}\n")
    code, found = document(config, capsys)
    assert code == 2
    assert (found["error"]["file"], found["error"]["line"], found["error"]["column"]) == (str(file), 3, 41)
    assert "did you mean 'effect'" in found["error"]["message"]
    put(config, "a.yaml", PASSING)
    config.write_text("version: 2\n")
    assert document(config, capsys)[0] == 2
    code, found = document(config, capsys, str(config.parent / "nowhere.yaml"))
    assert code == 2
    assert document(config, capsys, "--watch")[0] == 2


def test_the_shipped_policy_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Path(__file__).parents[2]
    shutil.copy(repository / "routes.yaml", tmp_path)
    shutil.copytree(repository / "policy-tests", tmp_path / "policy-tests")
    Folder(tmp_path / "certs").init()
    monkeypatch.chdir(tmp_path)
    assert main(["test", "--min-coverage", "100"]) == 0
