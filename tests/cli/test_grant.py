"""`gateway grant`: what it writes, what it refuses, and what the other commands say of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.control.policy_config import ISSUER, place, write
from tests.granting import Signer

ROUTES = """
- {name: api, match: {paths: ["/api"]}, upstream: api, allow: [{name: readers, to: {methods: [GET]}}]}
"""
RULE = f"{{from: {{request_principals: ['{ISSUER}/bob']}}, to: {{methods: [POST]}}}}"
URL = "https://api.example.com/api"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Signer(tmp_path, "alice")
    return write(tmp_path, routes=ROUTES, more="grants: {signers: {alice: alice.pub}}\n")


def grant(file: Path, *more: str, key: str = "alice.key", rule: str = RULE) -> int:
    asked = ("--rule", rule, "--route", "api", "--until", "2h", "--reason", "INC-1", "--key", str(file.parent / key))
    return main(["grant", "-c", str(file), *asked, *more])


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_grant_is_written_explained_listed_and_revoked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert grant(file, "--name", "inc-1", "--json") == 0
    made = told(capsys)
    assert (made["rule"], made["by"], made["reason"], made["routes"]) == ("grant:inc-1", "alice", "INC-1", ["api"])
    grants = file.parent / "grants.yaml"
    assert grants.stat().st_mode & 0o777 == 0o644

    asked = ["explain", "-c", str(file), "POST", URL, "--claims", '{"sub": "bob"}', "--json"]
    assert main(asked) == 0
    explained = told(capsys)
    assert (explained["rule"], explained["where"]) == ("grant:inc-1", place(grants, "name: inc-1"))
    assert explained["rules"][-1]["why"] == "every condition holds (time, to.methods, from.request_principals)"
    assert main([*asked, "--now", "2100-01-01T00:00:00Z"]) == 1
    assert told(capsys)["nearest"][-1]["missing"][0].startswith("time must be from ")

    assert main(["who", "-c", str(file), "POST", URL, "--json"]) == 0
    (way,) = [each for each in told(capsys)["principals"] if each["rule"] == "grant:inc-1"]
    assert way["principal"] == f"{ISSUER}/bob"
    assert way["conditions"][0].startswith("time must be from ")

    assert main(["grant", "-c", str(file), "--list", "--json"]) == 0
    assert [(each["rule"], each["active"]) for each in told(capsys)["grants"]] == [("grant:inc-1", True)]
    assert main(["grant", "-c", str(file), "--list"]) == 0
    assert "by alice: INC-1" in capsys.readouterr().out
    assert main(["check", "-c", str(file), "--json"]) == 0
    capsys.readouterr()
    assert main(["grant", "-c", str(file), "--revoke", "grant:inc-1"]) == 0
    assert "revoked" in capsys.readouterr().out
    assert main(["grant", "-c", str(file), "--revoke", "inc-1", "--json"]) == 1
    assert told(capsys) == {"revoked": None}
    assert main(asked) == 1


def test_grants_stand_beside_each_other(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bob = Signer(file.parent, "bob")
    file.write_text(file.read_text().replace("alice: alice.pub", "alice: alice.pub, bob: bob.pub"))
    assert grant(file, "--name", "one") == grant(file, "--name", "two", key=bob.private.name) == 0
    capsys.readouterr()
    assert main(["grant", "-c", str(file), "--list", "--json"]) == 0
    assert [(each["rule"], each["by"]) for each in told(capsys)["grants"]] == [
        ("grant:one", "alice"),
        ("grant:two", "bob"),
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param({"rule": "{}"}, "'from' is missing", id="everybody"),
        pytest.param({"rule": "{from: ["}, "--rule: ", id="no-yaml"),
        pytest.param({"rule": "{from: {principals: [web]}}"}, "principals are written whole", id="bad-rule"),
        pytest.param({"key": "other.key"}, "it is the key of none of grants.signers: alice", id="no-signer"),
        pytest.param({"key": "alice.pub"}, "holds no Ed25519 private key", id="public-half"),
        pytest.param({"options": ["--route", "ap"]}, "--route ap: no route has such a name", id="no-route"),
        pytest.param({"options": ["--until", "25h"]}, "lasts 24h at most", id="too-long"),
        pytest.param({"options": ["--until", "2020-01-01T00:00:00Z"]}, "that is over", id="over"),
        pytest.param({"options": ["--until", "tomorrow"]}, "write a time with its zone", id="no-time"),
        pytest.param({"options": ["--reason", ""]}, "--reason is wanted", id="no-reason"),
        pytest.param({"options": ["--name", "x" * 200]}, "a name has at most", id="long-name"),
    ],
)
def test_what_is_refused_changes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], message: str
) -> None:
    Signer(file.parent, "other")
    options = more.pop("options", [])
    assert grant(file, *options, **more) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in file.parent.iterdir() if "grants" in path.name) == []


def test_a_name_is_given_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert grant(file, "--name", "one") == 0
    before = (file.parent / "grants.yaml").read_bytes()
    assert grant(file, "--name", "one") == 2
    assert "two grants are named 'one'" in capsys.readouterr().err
    assert (file.parent / "grants.yaml").read_bytes() == before


def test_a_file_that_was_changed_by_hand_is_told_by_check_and_by_every_command(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grant(file, "--name", "one") == 0
    grants = file.parent / "grants.yaml"
    grants.write_text(grants.read_text().replace("[POST]", "['*']"))
    capsys.readouterr()
    assert main(["check", "-c", str(file), "--json"]) == 1
    (error,) = told(capsys)["errors"]
    assert (error["file"], error["message"]) == (
        str(grants),
        "the signature of alice does not hold: the grant was changed",
    )
    assert main(["explain", "-c", str(file), "GET", URL]) == 2
    assert main(["grant", "-c", str(file), "--revoke", "one"]) == 0
    assert main(["check", "-c", str(file)]) == 0


def test_without_signers_nobody_can_grant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Signer(tmp_path, "alice")
    assert grant(write(tmp_path, routes=ROUTES)) == 2
    assert "nobody is named who may grant" in capsys.readouterr().err
