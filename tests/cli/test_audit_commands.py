"""`gateway audit tail`, `search` and `prove` over a real log of two workers."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.audit.shown import shown
from gateway.cli.main import main
from gateway.model.outcome import Outcome
from gateway.model.reason import Reason
from gateway.stages.record import AuditLog, record_admin
from gateway.testing.clock import Clock
from gateway.testing.keys import new_key, private_pem, public_pem, write_private
from gateway.testing.wait import until
from tests.stages.record.scene import NOW, allowed, decided, lines, open_log, refused, stage

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
async def audit(tmp_path: Path) -> Path:
    """Two streams whose records alternate: allowed requests in one, refusals in the other."""
    (tmp_path / "audit.pub").write_bytes(public_pem(KEY))
    directory, clock = tmp_path / "audit", Clock(NOW)
    first, second = (open_log(directory, stream=f"here-w{n}", key=KEY, clock=clock) for n in range(2))
    first.start()
    second.start()
    for number in range(3):
        clock.advance(1)
        record = stage(first, clock=clock)
        trace = allowed(record, path=f"/api/{number}", request_id=f"{number:032x}")
        trace.request_id = f"{number:032x}"
        await decided(record, trace)
        record.outcome(trace, Outcome(200 + number, "stock", "https://stock", 0, 2))
        first._flush()
        clock.advance(1)
        denied = stage(second, clock=clock)
        await decided(denied, refused(denied, Reason.TOKEN_EXPIRED, path='/evil\x1b[31m"'))
        second._flush()
    clock.advance(1)
    await first.close()
    await second.close()
    return directory


def audited(*arguments: str | Path) -> int:
    return main(["-c", "nowhere.yaml", "audit", *map(str, arguments)])


def out(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


# ---- tail


async def test_tail_shows_the_last_records_of_all_streams_by_time(
    audit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited("tail", audit, "-n", "4") == 0
    shown_lines = out(capsys)
    assert [line.split()[1].partition(":")[0] for line in shown_lines] == ["here-w1", "here-w0", "here-w0", "here-w1"]
    assert [line.split()[2] for line in shown_lines] == ["decision", "decision", "outcome", "decision"]
    assert "allow GET api.example.com/api/2 by https://auth.example.com/alice as spiffe://" in shown_lines[1]
    assert "challenge GET" in shown_lines[3]
    assert "reason=token_expired" in shown_lines[3]
    assert "\x1b" not in shown_lines[3]


async def test_tail_gives_the_lines_themselves_to_machines(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audited("tail", audit, "-n", "100", "--all", "--json") == 0
    told = [json.loads(line) for line in out(capsys)]
    assert sorted(one["hash"] for one in told) == sorted(
        one["hash"] for stream in ("here-w0", "here-w1") for one in lines(audit, stream)
    )
    assert audited("tail", audit, "-n", "0") == 0
    assert out(capsys) == []


async def test_tail_leaves_a_line_that_is_still_being_written(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (audit / "here-w1-000001.jsonl").open("ab") as file:
        file.write(b'{"type":"decision","time":"2027')
    assert audited("tail", audit, "-n", "1", "--all") == 0
    assert "checkpoint" in out(capsys)[0]


async def test_tail_follows_over_segments_and_new_streams(tmp_path: Path) -> None:
    clock = Clock(NOW)

    def opened(stream: str) -> AuditLog:
        log = open_log(tmp_path / "audit", stream=stream, clock=clock, segment_size=1000)
        log.start()
        return log

    def say(log: AuditLog, action: str) -> None:
        record_admin(log, action=action, status=200, client="127.0.0.1")
        log._flush()

    log = opened("here-w0")
    say(log, "before")
    command = [sys.executable, "-m", "gateway", "audit", "tail", str(tmp_path / "audit"), "-f", "--json", "-n", "1"]
    output = tmp_path / "out"
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
    try:

        def actions() -> list[str]:
            return [json.loads(line)["action"] for line in output.read_text().splitlines()]

        await until(lambda: actions() == ["before"])
        for number in range(6):
            say(log, f"{number}")
        other = opened("here-w1")
        say(other, "other")
        assert len(list((tmp_path / "audit").glob("here-w0-*.jsonl"))) > 2
        await until(lambda: sorted(actions()) == ["0", "1", "2", "3", "4", "5", "before", "other"])
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
        await log.close()
    await other.close()


# ---- search


@pytest.mark.parametrize(
    ("questions", "count"),
    [
        (["--type", "decision"], 6),
        (["--effect", "allow"], 3),
        (["--effect", "challenge", "--reason", "token_*"], 3),
        (["--principal", "alice", "--type", "decision"], 3),
        (["--principal", "https://auth.example.com/alice"], 3),
        (["--principal", "spiffe://cluster.local/*"], 3),
        (["--path", "/api/*"], 3),
        (["--path", "/api/1"], 1),
        (["--status", "201"], 1),
        (["--request-id", f"{1:032x}"], 2),
        (["--stream", "*-w1", "--type", "decision"], 3),
        (["--client-ip", "198.51.100.9", "--effect", "allow", "--limit", "2"], 2),
        (["--since", "2027-01-15T08:00:05Z", "--type", "decision"], 2),
        (["--until", "2027-01-15T08:00:02Z", "--type", "decision"], 1),
        (["--since", "1800000005", "--until", "1800000006", "--type", "decision"], 1),
        (["--since", "1h", "--until", "2h"], 0),
        (["--route", "nowhere"], 0),
    ],
)
async def test_search_finds_what_all_questions_hold_of(
    audit: Path, capsys: pytest.CaptureFixture[str], questions: list[str], count: int
) -> None:
    assert audited("search", audit, *questions) == (0 if count else 1)
    assert len(out(capsys)) == count
    assert audited("search", audit, *questions, "--json") == (0 if count else 1)
    records = json.loads(capsys.readouterr().out)["records"]
    assert len(records) == count
    assert [one["time"] for one in records] == sorted(one["time"] for one in records)


@pytest.mark.parametrize("questions", [["--path", "a*b"], ["--since", "yesterday"], ["--until", "5parsecs"]])
async def test_a_question_that_cannot_be_understood_has_no_answer(audit: Path, questions: list[str]) -> None:
    assert audited("search", audit, *questions) == 2


def test_where_there_is_no_log_there_is_no_answer(tmp_path: Path) -> None:
    for command in ("tail", "search", "prove"):
        more = ["--seq", "1"] if command == "prove" else []
        assert audited(command, tmp_path, *more) == 2
        assert audited(command, tmp_path / "nowhere", *more) == 2


def test_other_records_are_shown_by_their_members() -> None:
    record = {"type": "admin", "time": "T", "seq": 4, "stream": "s", "action": "re load", "status": 200, "hash": "x"}
    assert shown(record) == 'T s:4 admin action="re load" status=200'


# ---- prove, and verify what was proved


async def test_a_proof_of_a_request_is_judged_without_the_log(
    audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, file = tmp_path / "audit.pub", tmp_path / "proof.json"
    assert audited("prove", audit, "--request-id", f"{1:032x}", "--key", key, "-o", file) == 0
    for path in audit.iterdir():
        path.unlink()
    assert audited("verify", file, "--key", key) == 0
    assert (
        "proof.json: holds: record 4 of here-w0 (decision, 2027-01-15T08:00:03.250000Z) stands under" in out(capsys)[0]
    )
    assert audited("verify", file, "--key", key, "--json") == 0
    held = json.loads(capsys.readouterr().out)
    assert (held["ok"], held["record"]["path"], held["checkpoint"]["seq"]) == (True, "/api/1", 8)
    file.write_text(file.read_text().replace("/api/1", "/api/2"))
    assert audited("verify", file, "--key", key) == 1
    assert "does not hold: a line does not have its own hash" in out(capsys)[0]


async def test_a_proof_of_an_outcome_and_of_any_number(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audited("prove", audit, "--request-id", f"{1:032x}", "--outcome") == 0
    said = capsys.readouterr()
    assert json.loads(json.loads(said.out)["record"])["type"] == "outcome"
    assert "the signature was not checked" in said.err
    assert audited("prove", audit, "--stream", "here-w1", "--seq", "1") == 0
    assert json.loads(json.loads(capsys.readouterr().out)["record"])["type"] == "segment"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "say which record"),
        (["--seq", "1", "--request-id", "x"], "say which record"),
        (["--seq", "1"], "--stream: one of here-w0, here-w1"),
        (["--seq", "99", "--stream", "here-w0"], "no such record"),
        (["--request-id", "nobody's"], "no decision of nobody's is there"),
        (["--seq", "8", "--stream", "here-w0"], "no signed checkpoint stands over record 8 yet"),
    ],
)
async def test_what_cannot_be_proved(
    audit: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert audited("prove", audit, *arguments) == 2
    assert why in capsys.readouterr().err


async def test_a_log_that_was_damaged_proves_nothing(
    audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = audit / "here-w0-000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"/api/0", b"/api/9"))
    assert audited("prove", audit, "--request-id", f"{0:032x}", "--key", tmp_path / "audit.pub") == 2
    assert "was altered" in capsys.readouterr().err
    assert audited("prove", audit, "--request-id", f"{1:032x}", "--key", tmp_path / "audit.pub") == 0


async def test_a_proof_by_another_key_does_not_hold_and_without_one_there_is_no_answer(
    audit: Path, tmp_path: Path
) -> None:
    file = tmp_path / "proof.json"
    assert audited("prove", audit, "--request-id", f"{1:032x}", "-o", file) == 0
    assert audited("verify", file) == 2
    write_private(tmp_path / "other.key", private_pem(new_key()))
    (tmp_path / "other.pub").write_bytes(public_pem(Ed25519PrivateKey.generate()))
    assert audited("verify", file, "--key", tmp_path / "other.pub") == 1
    assert file.stat().st_size < 8192


# ---- anchors


async def test_A3_what_was_kept_elsewhere_must_still_be_there(
    audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anchors = tmp_path / "anchors.jsonl"
    anchors.write_bytes(
        b"".join(line for path in audit.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)[-1:])
    )
    arguments = ("--anchors", anchors, "--key", tmp_path / "audit.pub")
    assert audited("verify", audit, *arguments) == 0
    cut = audit / "here-w0-000001.jsonl"
    whole = cut.read_bytes()
    cut.write_bytes(b"".join(whole.splitlines(keepends=True)[:-3]))
    capsys.readouterr()
    assert audited("verify", audit, *arguments) == 1
    assert "truncated: record 8 was kept elsewhere: the log was cut off after record 5" in capsys.readouterr().out
    cut.write_bytes(whole)
    anchors.write_bytes(anchors.read_bytes().replace(b'"hash":"', b'"hash":"00'))
    assert audited("verify", audit, *arguments) == 1
    assert "altered: record 8 is not the one that was kept elsewhere" in capsys.readouterr().out
    anchors.write_text('{"stream":"gone-w0","seq":1,"hash":"ab"}\n')
    assert audited("verify", audit, *arguments) == 1
    assert "gone-w0" in capsys.readouterr().out
    anchors.write_text('{"seq":1}\n')
    assert audited("verify", audit, *arguments) == 2
    assert audited("verify", audit, "--anchors", tmp_path / "nowhere") == 2
