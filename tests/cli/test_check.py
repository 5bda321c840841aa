import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.testing.pki import Folder
from tests.config.sample import SMALL, changed, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("check")
    Folder(made / "certs").init(days=20)
    return made


def test_a_valid_file_is_exit_0_and_its_warnings_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, SMALL)
    assert main(["check", "-c", str(path)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.splitlines() == [
        (
            f"{path}:1:1: warning: checkpoints are unsigned: who can write the audit files can rewrite them unseen"
            " (add audit.signing_key)"
        ),
        f"{path}:6:1: warning: no identity: the gateway proves nothing to backends (add identity)",
        f"{path}: ok, 2 warnings",
    ]


def test_an_invalid_file_is_exit_1_with_every_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, changed(("upstreams:", "upstream:"), ("[GET]", "[GETT]")))
    assert main(["check", "-c", str(path)]) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"{path}:6:1: error: unknown key 'upstream' (did you mean 'upstreams'?)",
        f"{path}:13:60: error: 'GETT' is no method that the gateway knows: did you mean GET?",
    ]


def test_missing_certificates_end_with_the_command_that_makes_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, SMALL)
    assert main(["check", "-c", str(path)]) == 1
    *errors, hint, verdict = capsys.readouterr().out.splitlines()
    assert sum("no such file or directory" in line for line in errors) == 2
    assert hint == "hint: `gateway pki init` makes throwaway certificates and keys, for trying things"
    assert verdict.startswith(f"{path}: not ok, 2 errors")
    Folder(tmp_path / "certs").init()
    assert main(["check", "-c", str(write(tmp_path, changed(("upstreams:", "upstream:"))))]) == 1
    assert "hint:" not in capsys.readouterr().out


def test_json_is_the_shape_of_the_contract(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, changed(("upstreams:", "upstream:")))
    assert main(["check", "--json", "-c", str(path)]) == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert shown.err == ""
    assert document["ok"] is False
    assert document["errors"] == [
        {
            "file": str(path),
            "line": 6,
            "column": 1,
            "message": "unknown key 'upstream'",
            "hint": "did you mean 'upstreams'?",
        }
    ]
    assert set(document) == {"ok", "errors", "warnings"}
    assert set(document["warnings"][0]) == {"file", "line", "column", "message", "hint"}


def test_strict_fails_on_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(folder, SMALL))
    assert main(["check", "--strict", "-c", path]) == 1
    assert capsys.readouterr().out.endswith(": not ok, 2 warnings\n")
    assert main(["check", "--strict", "--json", "-c", path]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    whole = changed(("upstreams:", "identity: {certificate: certs/gateway.pem, key: certs/gateway.key}\nupstreams:"))
    path = str(write(folder, f"{whole}audit: {{signing_key: certs/audit.key}}\n"))
    assert main(["check", "--strict", "-c", path]) == 0


def test_no_yaml_is_exit_1_and_no_file_exit_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(write(folder, "a: ["))]) == 1
    assert "not YAML" in capsys.readouterr().out
    assert main(["check", "-c", str(folder / "none.yaml")]) == 2
    assert main(["check", "-c", str(folder)]) == 2


@pytest.mark.parametrize(
    ("within", "code", "ending"),
    [
        ("7d", 0, []),
        ("30d", 1, ["edge edge", "identity identity"]),
        ("365d", 1, ["edge edge", "identity identity", "bundle cluster.local"]),
    ],
)
def test_fail_within_names_the_certificates_that_end(
    folder: Path, capsys: pytest.CaptureFixture[str], within: str, code: int, ending: list[str]
) -> None:
    identity = "identity: {certificate: certs/gateway.pem, key: certs/gateway.key}"
    trust = "trust_domains: {cluster.local: {bundle: certs/cluster-ca.pem}}"
    path = str(write(folder, changed(("upstreams:", f"{identity}\n{trust}\nupstreams:"))))
    assert main(["check", "--json", "--fail-within", within, "-c", path]) == code
    document = json.loads(capsys.readouterr().out)
    assert [one["message"].partition(":")[0] for one in document["errors"]] == ending
    assert [one["line"] for one in document["errors"]] == [3, 6, 7][: len(ending)]


def test_print_leaves_standard_output_to_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(folder, SMALL))
    assert main(["check", "--print", "-c", path]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("version: 1\nworkers: 1  # default\n")
    assert "warning" not in shown.out
    assert "warning: no identity" in shown.err
    assert main(["check", "--print", "--json", "-c", path]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["config"]["listeners"]["edge"]["tls"]["client_certificate"] == "none"
    cause = "default: nothing says whose certificates are believed"
    assert document["defaults"]["listeners.edge.tls.client_certificate"] == cause
