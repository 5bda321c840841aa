"""Records are read as they were written, and nothing is made of what is not there."""

import json
from pathlib import Path

import pytest

from gateway.control.evidence import CannotJudge
from gateway.control.records import audit_files, decisions, input_names, readable
from gateway.model.place import Place
from tests.control.audit_log import Ask, records, write_log
from tests.control.policy_config import config
from tests.control.test_replay import BEFORE, WEB

SMALLEST = {
    "type": "decision", "request_id": "r", "effect": "allow", "client_ip": "192.0.2.1", "method": "GET", "path": "/",
}  # fmt: skip


async def test_a_decision_as_the_gateway_writes_it(tmp_path: Path) -> None:
    log = await write_log(
        config(tmp_path, routes=BEFORE),
        Ask(user="alice", client=WEB, claims={"tenant": "acme"}, headers=(("x-canary", "1"),)),
        Ask("/nowhere"),
    )
    first, second = decisions(audit_files([log]))
    assert (first.request_id, first.listener, first.route, first.rule) == ("r0", "edge", "api", "readers")
    assert (first.subject, first.workload, first.principal.rpartition("/")[2]) == ("alice", WEB, "alice")
    assert first.group("headers") == {"x-canary": "1"}
    assert first.group("claims") == {"tenant": "acme"}
    assert (second.effect, second.route, second.principal, second.allowed) == ("no_route", None, "192.0.2.7", False)
    assert second.group("headers") == {}
    assert [record["listener"] for record in records(log)] == ["edge", "edge"]


def test_members_that_are_not_there_are_not_known(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps(SMALLEST) + "\n" + '{"type":"outcome"}\n' + '{"type": "checkpoint"}\n')
    (found,) = decisions([file])
    assert (found.listener, found.issuer, found.workload, found.rule, found.inputs) == (None, None, None, None, {})


@pytest.mark.parametrize("line", ["{", "[]", '"x"', '{"type":"decision"}', '{"type":"decision","request_id":1}', "1"])
def test_what_is_no_record_has_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps(SMALLEST) + "\n" + line + "\n")
    with pytest.raises(CannotJudge, match="is no audit record") as failed:
        list(decisions([file]))
    assert failed.value.where == Place(str(file), 2, 1)


def test_a_last_line_that_is_not_whole_yet_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps(SMALLEST) + "\n" + json.dumps(SMALLEST)[:-9])
    assert len(list(decisions([file]))) == 1


def test_directories_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b-000001.jsonl", "a-000002.jsonl", "a-000001.jsonl", "a.lock"):
        (tmp_path / name).touch()
    assert [file.name for file in audit_files([tmp_path])] == ["a-000001.jsonl", "a-000002.jsonl", "b-000001.jsonl"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(CannotJudge, match="holds no audit log"):
        audit_files([tmp_path / "empty"])


async def test_a_config_says_what_its_records_show(tmp_path: Path) -> None:
    for told in (True, False):
        folder = tmp_path / str(told)
        folder.mkdir()
        files = audit_files([await write_log(config(folder, routes=BEFORE), Ask(user="a"), told=told)])
        (decision,) = decisions(files)
        names = input_names(files)
        assert names.claim(decision, "tenant") is told
        assert names.header(decision, "x-canary") is told
        assert not names.header(decision, "x-other")


@pytest.mark.parametrize(
    ("value", "whole"),
    [("acme", True), ("hmac-sha256:00", False), ("x" * 256, False), ("ü" * 127, False), (["a"], True), (3, True)],
)
def test_a_digest_or_a_cut_value_is_no_value(value: object, whole: bool) -> None:
    assert readable(value) is whole  # type: ignore[arg-type]
