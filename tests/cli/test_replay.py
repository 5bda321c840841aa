"""`gateway replay` and `gateway explain --record`: documents, pages and exit codes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.control.audit_log import Ask, write_log
from tests.control.policy_config import config, place, write
from tests.control.test_replay import BEFORE

HEAD_ONLY = BEFORE.replace("methods: [GET]", "methods: [HEAD]")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    asked = (Ask(user="alice"), Ask(user="alice", path="/api/y"), Ask("/hello"), Ask("/api/%00"))
    return asyncio.run(write_log(config(tmp_path, routes=BEFORE), *asked))


@pytest.fixture
def after(tmp_path: Path) -> Path:
    (tmp_path / "after").mkdir()
    return write(tmp_path / "after", routes=HEAD_ONLY)


def document(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any]]:
    code = main([*args, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def test_the_documents_shape(log: Path, after: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, "replay", "-c", str(after), str(log))
    assert code == 1
    assert {key: found[key] for key in ("judged", "same")} == {"judged": 4, "same": 1}
    first, second = found["flips"]
    assert {key: first[key] for key in ("request_id", "seq", "from", "to", "rule", "where", "route", "reason")} == {
        "request_id": "r0", "seq": 3, "from": "allow", "to": "deny", "rule": None, "route": "api",
        "where": place(after, "name: api"), "reason": "no_rule_allows",
    }  # fmt: skip
    assert second["path"] == "/api/y"
    (open_,) = found["undecidable"]
    assert (open_["request_id"], open_["from"]) == ("r3", "refuse")
    assert "not recorded" in open_["why"]


def test_nothing_flips_under_the_same_file(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = log.glob("*.jsonl")
    same = str(log.parent / "routes.yaml")
    code, found = document(capsys, "replay", "-c", same, str(file))
    assert (code, found) == (0, {"judged": 4, "same": 4, "flips": [], "undecidable": []})
    assert main(["replay", "-c", same, str(log)]) == 0
    assert capsys.readouterr().out == "4 decisions judged again: 4 the same, nothing flips\n"


def test_people_see_flips_by_route_and_principal(log: Path, after: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "-c", str(after), str(log)]) == 1
    page = capsys.readouterr().out
    assert "now refused: 2\n  api: no_rule_allows" in page
    assert "    2  https://auth.example.com/realms/internal/alice  GET /api/x  r0" in page
    assert "undecidable: 1\n        1  the bytes that it was refused for are not recorded" in page
    assert "4 decisions judged again: 1 the same, 2 flip" in page


def test_what_cannot_be_replayed(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = str(log.parent / "routes.yaml")
    (tmp_path / "bad.jsonl").write_text("no record\n")
    (tmp_path / "empty").mkdir()
    for audit in (tmp_path / "nowhere", tmp_path / "bad.jsonl", tmp_path / "empty"):
        code, found = document(capsys, "replay", "-c", same, str(audit))
        assert (code, found["error"]["file"]) == (2, str(audit))


def test_a_record_is_explained_by_its_id(log: Path, after: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, "explain", "-c", str(log.parent / "routes.yaml"), "--record", "r0")
    assert (code, found["effect"], found["rule"]) == (0, "allow", "readers")
    assert found["notes"] == ["recorded as allow by readers at 2027-01-15T08:00:00Z"]
    code, found = document(capsys, "explain", "-c", str(after), "--record", "r1", "--audit", str(log))
    assert (code, found["reason"], found["nearest"][0]["rule"]) == (1, "no_rule_allows", "readers")
    code, found = document(capsys, "explain", "-c", str(after), "--record", "r3", "--audit", str(log))
    assert "undecidable" in found["notes"][1]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--record", "nobody"], "is recorded in"),
        (["--record", "r0", "GET", "/x"], "leave METHOD out"),
        (["--record", "r0", "--client", "spiffe://a/b"], "leave CLIENT out"),
        (["GET"], "METHOD and URL are wanted"),
    ],
)
def test_what_cannot_be_explained(log: Path, args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, "explain", "-c", str(log.parent / "routes.yaml"), *args)
    assert code == 2
    assert says in found["error"]["message"]


def test_a_line_that_is_no_record_is_named_with_its_place(
    tmp_path: Path, after: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("not a record\n")
    code, found = document(capsys, "replay", "-c", str(after), str(bad))
    assert code == 2
    assert found["error"] == {"message": "it is no audit record", "file": str(bad), "line": 1, "column": 1}
