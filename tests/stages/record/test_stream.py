"""A stream has one writer, continues where it ended, and repairs only what a crash can tear."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.stages.record import AuditError, AuditLog
from gateway.stages.record.stream import open_stream
from tests.stages.record.scene import lines, open_log


async def written(directory: Path, count: int = 3) -> None:
    log = open_log(directory)
    log.start()
    for _ in range(count):
        assert await log.write("decision", "", keep=False)
    await log.close()


async def reopened(directory: Path) -> AuditLog:
    log = open_log(directory)
    log.start()
    assert await log.write("decision", ',"n":"after"', keep=False)
    await log.close()
    return log


async def test_A5_a_restart_continues_the_chain(tmp_path: Path) -> None:
    await written(tmp_path)
    await reopened(tmp_path)
    records = lines(tmp_path)
    assert [record["type"] for record in records] == [
        "segment", "decision", "decision", "decision", "checkpoint", "decision", "checkpoint",
    ]  # fmt: skip
    assert [record["seq"] for record in records] == list(range(1, 8))
    assert all(a["hash"] == b["prev"] for a, b in itertools.pairwise(records))
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


@pytest.mark.parametrize("torn", [b"{", b'{"type":"decision","time":"2027', b"\x00" * 4096, b"x" * 100_000])
async def test_A5_a_torn_last_line_is_repaired_by_a_marked_record(tmp_path: Path, torn: bytes) -> None:
    await written(tmp_path)
    path = tmp_path / "here-w0-000001.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    await reopened(tmp_path)
    records = lines(tmp_path)
    repair = records[5]
    assert (repair["type"], repair["file"], repair["bytes"]) == ("repair", path.name, len(torn))
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert records[4]["hash"] == repair["prev"]


@pytest.mark.parametrize("torn", [b"", b'{"type":"seg'])
async def test_A5_a_segment_that_a_crash_left_without_its_first_line_is_begun_again(
    tmp_path: Path, torn: bytes
) -> None:
    await written(tmp_path)
    (tmp_path / "here-w0-000002.jsonl").write_bytes(torn)
    await reopened(tmp_path)
    records = lines(tmp_path)
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert ("repair" in [record["type"] for record in records]) is bool(torn)
    assert not (tmp_path / "here-w0-000002.jsonl").exists()


@pytest.mark.parametrize(
    "end",
    [b"garbage\n", b'{"type":"decision"}\n', b'{"a":1,"prev":"' + b"0" * 64 + b'","hash":"' + b"0" * 64 + b'"}\n'],
)
async def test_A5_a_whole_line_that_does_not_hold_is_evidence_and_not_repaired(tmp_path: Path, end: bytes) -> None:
    await written(tmp_path)
    path = tmp_path / "here-w0-000001.jsonl"
    before = path.read_bytes() + end
    path.write_bytes(before)
    with pytest.raises(AuditError, match="does not hold") as raised:
        open_log(tmp_path)
    assert "audit verify" in str(raised.value)
    assert path.read_bytes() == before


async def test_the_last_line_of_another_stream_is_not_continued(tmp_path: Path) -> None:
    await written(tmp_path)
    (tmp_path / "here-w0-000001.jsonl").rename(tmp_path / "there-w0-000001.jsonl")
    with pytest.raises(AuditError, match="does not hold"):
        open_log(tmp_path, stream="there-w0")


async def test_A6_two_processes_never_share_a_chain(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    program = (
        "import sys, pathlib; from gateway.stages.record.stream import AuditError, open_stream\n"
        "try: open_stream(pathlib.Path(sys.argv[1]), sys.argv[2])\n"
        "except AuditError as error: sys.exit(str(error))"
    )

    def other(stream: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, str(tmp_path), stream], capture_output=True, text=True)

    refused = other("here-w0")
    assert refused.returncode == 1
    assert "another process writes the audit stream here-w0" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert other("here-w1").returncode == 0
    log.start()
    await log.close()
    assert other("here-w0").returncode == 0


def test_a_directory_is_made_and_one_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    open_stream(tmp_path / "a" / "b", "here-w0").close()
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match="cannot be written") as raised:
        open_stream(tmp_path / "file" / "audit", "here-w0")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["../evil-w0", "a/b-w0", "", "-w0", "a\n-w0", ".hidden-w0"])
def test_a_stream_that_cannot_name_files_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AuditError, match=r"audit\.replica"):
        open_stream(tmp_path, name)


def test_nothing_is_written_through_a_link_that_somebody_laid(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    directory = tmp_path / "audit"
    directory.mkdir()
    (directory / "here-w0-000001.jsonl").symlink_to(victim)
    with pytest.raises(AuditError, match="cannot be written"):
        open_stream(directory, "here-w0")
    assert victim.read_text() == "mine"
