"""The log writes once a tick, tells the truth about what is written, and recovers."""

import asyncio
import itertools
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.kernel.cells import Metrics
from gateway.stages.record import AuditLog, record_handshake
from gateway.stages.record.flood import PER_SECOND
from gateway.stages.record.log import BACKLOG
from gateway.testing.clock import Clock
from gateway.testing.wait import until
from tests.stages.record.scene import NOW, lines, open_log


def kinds(directory: Path) -> list[str]:
    return [record["type"] for record in lines(directory)]


def failing(log: AuditLog) -> bool:
    return log.failure is not None


class Called:
    """Passes calls on, and keeps their last argument."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.seen: list[Any] = []

    def __call__(self, *arguments: Any) -> Any:
        self.seen.append(arguments[-1])
        return self.function(*arguments)


@contextmanager
def disk_full_after(log: AuditLog, room: int) -> Iterator[None]:
    """The kernel refuses to let any file of ours grow beyond what the log's has now, and `room` bytes more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log._file.size + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_all_records_of_a_tick_are_one_write_and_then_the_waiting_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    log.start()
    called = Called(os.write)
    monkeypatch.setattr(os, "write", called)
    writes = called.seen
    waiting = [log.write("decision", f',"n":{n}', keep=False) for n in range(5)]
    log.queue("outcome", "")
    assert writes == []
    assert not any(done.done() for done in waiting)
    assert await asyncio.gather(*waiting) == [True] * 5
    assert len(writes) == 1
    assert writes[0].count(b"\n") == 6
    assert [record["seq"] for record in lines(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]
    await log.close()


async def test_a_cancelled_request_holds_up_nobody(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.start()
    first, second = log.write("decision", "", keep=False), log.write("decision", "", keep=False)
    first.cancel()
    assert await second
    assert kinds(tmp_path) == ["segment", "decision", "decision"]
    await log.close()


async def test_a_clean_stop_ends_with_a_checkpoint(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.start()
    log.queue("outcome", "")
    await log.close()
    assert kinds(tmp_path) == ["segment", "outcome", "checkpoint"]


async def test_a_checkpoint_comes_by_the_clock_even_when_nothing_happens(tmp_path: Path) -> None:
    log = open_log(tmp_path, checkpoint=0.02)
    log.start()
    await until(lambda: kinds(tmp_path).count("checkpoint") >= 3)
    await log.close()


async def test_the_metrics_tell_records_and_lag(tmp_path: Path) -> None:
    metrics, clock = Metrics(), Clock(NOW)
    log = open_log(tmp_path, metrics=metrics, clock=clock)
    log.start()
    log.queue("outcome", "")
    clock.advance(3)
    assert metrics.audit_lag.value == 3
    await asyncio.sleep(0)
    await until(lambda: metrics.audit_lag.value == 0)
    assert metrics.audit_records.value == 2
    await log.close()


@pytest.mark.parametrize("room", [0, 1, 100, 700])
async def test_A9_a_full_disk_leaves_no_half_line_and_no_false_yes(tmp_path: Path, room: int) -> None:
    log = open_log(tmp_path)
    log.start()
    before = (tmp_path / "here-w0-000001.jsonl").read_bytes()
    with disk_full_after(log, room):
        done = [log.write("decision", f',"n":"{"x" * 300}"', keep=False) for _ in range(4)]
        assert await asyncio.gather(*done) == [False] * 4
        assert failing(log)
        assert (tmp_path / "here-w0-000001.jsonl").read_bytes() == before
        assert not await log.write("decision", ',"n":"again"', keep=False) or room == 700
    assert await log.write("decision", ',"n":"after"', keep=False)
    assert not failing(log)
    await log.close()
    records = lines(tmp_path)
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert "after" in [record.get("n") for record in records]
    assert all(record.get("n", "")[:1] != "x" for record in records)


async def test_A9_what_is_still_true_is_written_when_the_disk_takes_it_again(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.start()
    with disk_full_after(log, 0):
        lost = log.write("decision", ',"n":"refused"', keep=False)
        kept = log.write("decision", ',"n":"allowed"', keep=True)
        log.queue("outcome", "")
        assert not await lost
        assert not await kept
    await until(lambda: "outcome" in kinds(tmp_path))  # by itself: no new request is needed
    await log.close()
    assert [record.get("n") for record in lines(tmp_path)] == [None, "allowed", None, None]


async def test_A9_beyond_the_backlog_records_are_counted(tmp_path: Path) -> None:
    log = open_log(tmp_path, clock=Clock(NOW))
    log.start()
    with disk_full_after(log, 0):
        for _ in range(BACKLOG + 7):
            log.queue("outcome", "")
        await until(lambda: failing(log))
        assert log._pending
        assert len(log._pending) == BACKLOG
    await log.close()
    last = lines(tmp_path)[-2]
    assert (last["type"], last["kind"], last["reason"], last["count"]) == (
        "suppressed",
        "outcome",
        "audit_unavailable",
        7,
    )


async def test_A9_a_closed_descriptor_is_a_failure_and_the_log_gets_over_it(tmp_path: Path) -> None:
    log = open_log(tmp_path, checkpoint=0.05)
    log.start()
    os.close(log._file.descriptor)
    assert not await log.write("decision", "", keep=False)
    await until(lambda: not failing(log))
    assert await log.write("decision", "", keep=False)
    await log.close()
    assert kinds(tmp_path)[-3:-1] != []
    assert [record["seq"] for record in lines(tmp_path)] == list(range(1, len(lines(tmp_path)) + 1))


async def test_synced_waits_for_the_disk_and_one_fsync_serves_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, durability="synced")
    log.start()
    called = Called(os.fsync)
    monkeypatch.setattr(os, "fsync", called)
    done = [log.write("decision", "", keep=False) for _ in range(50)]
    assert await asyncio.gather(*done) == [True] * 50
    assert len(called.seen) == 1
    await log.close()


async def test_A9_an_fsync_that_fails_refuses_and_begins_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, durability="synced")
    log.start()

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        assert not await log.write("decision", "", keep=False)
        assert log.failure == "Input/output error"
    assert await log.write("decision", "", keep=False)
    await log.close()
    assert kinds(tmp_path) == ["segment", "decision", "segment", "decision", "checkpoint"]


async def test_buffered_does_not_wait_and_refuses_while_the_disk_fails(tmp_path: Path) -> None:
    log = open_log(tmp_path, durability="buffered", checkpoint=0.05)
    log.start()
    done = log.write("decision", "", keep=False)
    assert done.done()
    assert done.result()
    await until(lambda: "decision" in kinds(tmp_path))
    with disk_full_after(log, 0):
        log.queue("outcome", "")
        await until(lambda: failing(log))
        assert not log.write("decision", ',"n":"no"', keep=False).result()
    await until(lambda: not failing(log))
    assert log.write("decision", ',"n":"yes"', keep=False).result()
    await log.close()
    assert [record["n"] for record in lines(tmp_path) if "n" in record] == ["yes"]


async def test_A4_a_full_segment_is_followed_by_one_that_binds_it(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_size=1000)
    log.start()
    for _ in range(8):
        assert await log.write("decision", f',"n":"{"x" * 200}"', keep=False)
    await log.close()
    files = sorted(tmp_path.glob("*.jsonl"))
    assert [path.name for path in files] == [f"here-w0-{n:06d}.jsonl" for n in range(1, len(files) + 1)]
    assert len(files) > 2
    records = lines(tmp_path)
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert all(a["hash"] == b["prev"] for a, b in itertools.pairwise(records))
    segments = [record for record in records if record["type"] == "segment"]
    assert segments[0]["before"] is None
    before = records[records.index(segments[1]) - 1]
    assert segments[1]["before"] == {"file": files[0].name, "seq": before["seq"], "hash": before["hash"]}


async def test_an_old_segment_is_followed_by_a_new_one(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = open_log(tmp_path, segment_age=60, clock=clock)
    log.start()
    assert await log.write("decision", "", keep=False)
    clock.advance(61)
    assert await log.write("decision", "", keep=False)
    await log.close()
    assert kinds(tmp_path) == ["segment", "decision", "segment", "decision", "checkpoint"]


async def test_when_no_segment_can_be_begun_the_old_one_goes_on(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_size=10)
    log.start()
    (tmp_path / "here-w0-000002.jsonl").write_bytes(b"somebody else's")
    assert await log.write("decision", "", keep=False)
    assert await log.write("decision", "", keep=False)
    await log.close()
    assert (tmp_path / "here-w0-000001.jsonl").read_bytes().count(b"\n") == 4


async def test_a_file_that_was_taken_away_is_followed_by_a_new_segment(tmp_path: Path) -> None:
    log = open_log(tmp_path, checkpoint=0.02)
    log.start()
    (tmp_path / "here-w0-000001.jsonl").rename(tmp_path / "taken")
    await until((tmp_path / "here-w0-000002.jsonl").exists)
    assert await log.write("decision", "", keep=False)
    await log.close()
    assert "decision" in kinds(tmp_path)


async def test_a_clock_that_steps_back_a_little_does_not_turn_the_log_around(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = open_log(tmp_path, clock=clock)
    log.start()
    for step in (0.0, -0.5, 0.2):
        clock.advance(step)
        assert await log.write("decision", "", keep=False)
    await log.close()
    times = [record["time"] for record in lines(tmp_path)]
    assert times == sorted(times)


async def test_A11_a_flood_is_held_back_and_counted(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = open_log(tmp_path, clock=clock)
    log.start()
    for _ in range(PER_SECOND + 40):
        record_handshake(log, listener="edge", client="203.0.113.7", reason="certificate_expired", sni="a.example")
    record_handshake(log, listener="edge", client="203.0.113.7", reason="other", sni=None)
    await log.close()
    records = lines(tmp_path)
    assert [record["type"] for record in records].count("handshake") == PER_SECOND + 1
    (held,) = [record for record in records if record["type"] == "suppressed"]
    assert (held["kind"], held["reason"], held["count"]) == ("handshake", "certificate_expired", 40)
    assert held["since"] == "2027-01-15T08:00:00.000000Z"


async def test_what_was_held_back_is_told_by_itself_once_the_second_is_over(tmp_path: Path) -> None:
    log = open_log(tmp_path, clock=time.time)
    log.start()
    for _ in range(PER_SECOND + 40):
        record_handshake(log, listener="edge", client="203.0.113.7", reason="certificate_expired", sni=None)
    await until(lambda: "suppressed" in kinds(tmp_path))
    await log.close()


async def test_status_tells_where_the_chain_stands(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.start()
    assert await log.write("decision", "", keep=False)
    last = lines(tmp_path)[-1]
    assert log.status() == {
        "stream": "here-w0",
        "seq": 2,
        "head": last["hash"],
        "segment": "here-w0-000001.jsonl",
        "waiting": 0,
        "failure": None,
    }
    await log.close()
