"""The walk over streams; what each attack looks like stands in tests/attacks/test_audit.py."""

from pathlib import Path

import pytest

from gateway.cli.audit.verifier import MOST_FINDINGS, verify_directory
from gateway.stages.record import record_config
from tests.stages.record.scene import open_log


async def written(directory: Path, stream: str, count: int) -> None:
    log = open_log(directory, stream=stream)
    log.start()
    for number in range(count):
        record_config(log, digest=str(number), ok=True)
    await log.close()


async def test_streams_are_told_apart_and_other_files_left_alone(tmp_path: Path) -> None:
    await written(tmp_path, "here-w0", 2)
    await written(tmp_path, "here-w10", 3)
    (tmp_path / "notes.txt").write_text("x")
    reports = verify_directory(tmp_path, [], None)
    assert [(report.stream, report.records, report.findings) for report in reports] == [
        ("here-w0", 4, []),
        ("here-w10", 5, []),
    ]


async def test_a_file_full_of_damage_is_told_in_few_words(tmp_path: Path) -> None:
    await written(tmp_path, "here-w0", 50)
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"success", b"failure"))
    (report,) = verify_directory(tmp_path, [], None)
    assert len(report.findings) == MOST_FINDINGS
    assert report.records == 52


async def test_a_log_that_is_still_written_has_no_closing_checkpoint(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.start()
    assert await log.write("decision", "", keep=False)
    (report,) = verify_directory(tmp_path, [], None)
    assert report.findings == []
    assert "closing_checkpoint_missing" in [warning.kind for warning in report.warnings]
    await log.close()


async def test_a_repaired_crash_is_a_warning(tmp_path: Path) -> None:
    await written(tmp_path, "here-w0", 2)
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"torn')
    await written(tmp_path, "here-w0", 2)
    (report,) = verify_directory(tmp_path, [], None)
    assert report.findings == []
    assert [warning.kind for warning in report.warnings] == ["repaired", "tail_not_protected"]


@pytest.mark.slow
def test_a_long_log_is_judged_at_a_steady_pace(tmp_path: Path) -> None:
    """Twice the records take about twice the time, and a record well under 100 us even on a busy machine."""
    import time

    from gateway.stages.record.chain import GENESIS, Chain

    def spent(count: int) -> float:
        directory = tmp_path / str(count)
        directory.mkdir()
        chain = Chain("here-w0", 0, GENESIS, None)
        at = "2027-01-15T08:00:00.250000Z"
        first = chain.seal("segment", at, ',"segment":1,"before":null')
        rest = b"".join(chain.seal("decision", at, f',"path":"{"x" * 400}"') for _ in range(count))
        (directory / "here-w0-000001.jsonl").write_bytes(first + rest)
        began = time.process_time()
        (report,) = verify_directory(directory, [], None)
        assert (report.records, report.findings) == (count + 1, [])
        return time.process_time() - began

    assert spent(20_000) < 2.0
