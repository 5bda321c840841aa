"""fsync runs beside the loop, one at a time, and a failure is told."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from gateway.stages.record.promise import Promise
from gateway.stages.record.syncer import Syncer


async def test_who_comes_while_one_runs_joins_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    running, go = threading.Event(), threading.Event()
    calls: list[int] = []

    def slow(descriptor: int) -> None:
        assert descriptor != file  # a duplicate: the segment may be closed meanwhile
        calls.append(descriptor)
        running.set()
        assert go.wait(10)

    monkeypatch.setattr(os, "fsync", slow)
    syncer = Syncer(lambda: file, lambda error: None)
    loop = asyncio.get_running_loop()
    first, second, third = (Promise(loop) for _ in range(3))
    syncer.join(first)
    await loop.run_in_executor(None, running.wait, 10)
    syncer.join(second)
    syncer.join(third)
    assert not first.done()
    go.set()
    assert list(await asyncio.gather(first, second, third)) == [True] * 3
    assert len(calls) == 2
    await syncer.close()
    os.close(file)


async def test_a_failure_is_told_and_the_next_may_hold(tmp_path: Path) -> None:
    file = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    where, told = [-1], list[OSError]()
    syncer = Syncer(lambda: where[0], told.append)
    loop = asyncio.get_running_loop()
    bad = Promise(loop)
    syncer.join(bad)
    assert await bad is False
    assert len(told) == 1
    where[0] = file
    good = Promise(loop)
    syncer.join(good)
    assert await good is True
    await syncer.close()
    os.close(file)
