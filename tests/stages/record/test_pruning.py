"""`audit.keep`: whole old segments go, told beforehand, and what is left verifies."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.audit.verifier import verify_directory
from gateway.stages.record import AuditLog, record_config
from gateway.stages.record.pruning import Pruner
from gateway.testing.clock import Clock
from gateway.testing.wait import until
from tests.attacks.test_audit import verifier
from tests.stages.record.scene import NOW, lines, open_log

KEY = Ed25519PrivateKey.generate()
DAY = 86400.0


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("*.jsonl"))


def findings(tmp_path: Path) -> list[str]:
    (report,) = verify_directory(tmp_path, [verifier(KEY)], None)
    return [finding.kind for finding in report.findings]


async def days(log: AuditLog, clock: Clock, count: int) -> None:
    """A segment a day."""
    for number in range(count):
        record_config(log, digest=f"{number:064x}", ok=True)
        log._tick()
        log._flush()
        clock.advance(DAY)


def opened(tmp_path: Path, clock: Clock, **settings: Any) -> AuditLog:
    log = open_log(tmp_path, clock=clock, key=KEY, keep=2.5 * DAY, **settings)
    log.start()
    return log


async def test_segments_whose_last_record_is_too_old_go_and_the_rest_verifies(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = opened(tmp_path, clock)
    await days(log, clock, 6)
    await until(lambda: names(tmp_path)[0] == "here-w0-000003.jsonl", what="two segments to go")
    await log.close()
    assert names(tmp_path) == [f"here-w0-{number:06d}.jsonl" for number in range(3, 8)]
    told = [record for record in lines(tmp_path) if record["type"] == "pruned"]
    assert told[0]["segments"] == [1, 1]
    assert told[-1]["segments"][1] == 2
    assert told[-1]["before"] == lines(tmp_path)[0]["before"]
    (report,) = verify_directory(tmp_path, [verifier(KEY)], None)
    assert (report.findings, [one.kind for one in report.warnings]) == ([], ["pruned"])


async def test_a_pruned_log_goes_on_after_a_restart(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = opened(tmp_path, clock)
    await days(log, clock, 5)
    await log.close()
    log = opened(tmp_path, clock)
    await days(log, clock, 2)
    await log.close()
    assert "here-w0-000002.jsonl" not in names(tmp_path)
    assert findings(tmp_path) == []


async def test_what_was_announced_and_not_deleted_before_a_crash_is_no_finding_and_goes_later(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = open_log(tmp_path, clock=clock, key=KEY)
    log.start()
    await days(log, clock, 5)
    await log.close()
    kept = {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    log = opened(tmp_path, clock)
    log._tick()
    log._flush()
    await until(lambda: names(tmp_path)[0] == "here-w0-000003.jsonl")
    await log.close()
    for path in sorted(kept)[1:2]:  # the first of the two was deleted, then the machine went down
        path.write_bytes(kept[path])
    assert findings(tmp_path) == []
    clock.advance(DAY)
    log = opened(tmp_path, clock)
    log._tick()
    log._flush()
    await until(lambda: names(tmp_path)[0] == "here-w0-000004.jsonl")
    await log.close()
    assert findings(tmp_path) == []


async def test_A4_a_beginning_that_nobody_announced_is_a_finding(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = opened(tmp_path, clock)
    await days(log, clock, 6)
    await until(lambda: names(tmp_path)[0] == "here-w0-000003.jsonl")
    await log.close()
    (tmp_path / "here-w0-000003.jsonl").unlink()  # one more than was told
    assert findings(tmp_path) == ["segment_missing"]


async def test_A4_a_prune_that_no_signed_checkpoint_covers_is_a_finding(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = opened(tmp_path, clock)
    await days(log, clock, 5)
    await until(lambda: names(tmp_path)[0] == "here-w0-000002.jsonl")
    await log.close()
    assert findings(tmp_path) == []
    *_, last, closing = (tmp_path / name for name in names(tmp_path))
    closing.unlink()
    held = last.read_bytes().splitlines(keepends=True)
    told = next(at for at, line in enumerate(held) if b'"type":"pruned"' in line)
    last.write_bytes(b"".join(held[: told + 1]))
    assert findings(tmp_path) == ["segment_missing"]


async def test_nothing_goes_while_no_checkpoint_could_be_written_over_the_word(tmp_path: Path) -> None:
    clock = Clock(NOW)
    pruner = Pruner(tmp_path, "here-w0", 2.5 * DAY)
    log = open_log(tmp_path, clock=clock)
    log.start()
    await days(log, clock, 5)
    await log.close()
    members = pruner.announce(clock(), 5)
    assert members is not None
    assert '"segments":[1,2]' in members
    assert pruner.announce(clock() + 3600, 5) is None  # one at a time
    assert pruner.wrote({"checkpoint"}) == []  # the word itself was lost
    again = pruner.announce(clock() + 3600, 5)
    assert again == members
    assert [path.name for path in pruner.wrote({"pruned", "checkpoint"})] == names(tmp_path)[:2]
    assert pruner.wrote({"pruned", "checkpoint"}) == []


async def test_a_gap_and_a_file_that_is_no_segment_stop_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(NOW)
    log = open_log(tmp_path, clock=clock)
    log.start()
    await days(log, clock, 5)
    await log.close()
    (tmp_path / "here-w0-000002.jsonl").unlink()
    assert Pruner(tmp_path, "here-w0", DAY).announce(clock(), 5) is None
    (tmp_path / "here-w0-000002.jsonl").write_text("no segment\n")
    assert Pruner(tmp_path, "here-w0", DAY).announce(clock(), 5) is None
    assert "none is deleted" in caplog.text
