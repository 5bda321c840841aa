import json
from pathlib import Path

import pytest

from gateway.cli.main import main

POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: foo}
spec: {rules: [{from: [{source: {principals: [cluster.local/ns/a/sa/b]}}]%s}]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "in.yaml"


def test_all_carried_is_yes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(POLICY % "")
    assert main(["import", str(file), "--routes", "a, b", "--routes", "c*"]) == 0
    shown = capsys.readouterr()
    assert shown.out == (
        "policies:\n"
        "  - name: p\n"
        "    action: allow\n"
        '    routes: [a, b, "c*"]\n'
        "    rules:\n"
        "      - from: {principals: [spiffe://cluster.local/ns/a/sa/b]}\n"
    )
    assert "no default allow" in shown.err
    assert "not carried" not in shown.err


def test_something_not_carried_is_no_and_has_its_place(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(POLICY % ", colour: red")
    assert main(["import", str(file), "--json"]) == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert set(document) == {"config", "not_carried", "notes"}
    assert document["not_carried"][-1] == {
        "file": str(file),
        "line": 4,
        "column": 76,
        "resource": "AuthorizationPolicy/p",
        "path": "spec.rules[0].colour",
        "why": "it is no field that is known",
    }
    assert document["config"]["policies"][0]["rules"][0]["mode"] == "shadow"
    assert f"{file}:4:76: not carried: AuthorizationPolicy/p spec.rules[0].colour: " in shown.err


def test_listeners_are_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nspec: {mtls: {mode: STRICT}}\n")
    assert main(["import", str(file), "--json", "--listeners", "one,two"]) == 0
    strict = {"tls": {"client_certificate": "required"}}
    assert json.loads(capsys.readouterr().out)["config"] == {"listeners": {"one": strict, "two": strict}}


def test_what_cannot_be_read_has_no_answer(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("kind: [")
    assert main(["import", str(file), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["file"] == str(file)
    assert main(["import", str(file.with_name("absent.yaml"))]) == 2
    assert main(["import"]) == 2
