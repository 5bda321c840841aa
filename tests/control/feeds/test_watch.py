"""Bells that ring when files change."""

import asyncio
import time
from pathlib import Path

from gateway.control.feeds.watch import FileWatch, directories_of
from gateway.testing.wait import BOUND, until


async def ready(watch: FileWatch, folder: Path) -> None:
    """Wait until the operating system's watch is in force: it begins in a thread."""
    bell = watch.bell(folder / "probe")

    async def probe() -> bool:
        (folder / "probe").write_text(str(time.monotonic_ns()))
        done, pending = await asyncio.wait((asyncio.ensure_future(bell.wait()),), timeout=0.3)
        for task in pending:
            task.cancel()
        return bool(done)

    while not await probe():
        pass
    bell.close()


async def rings(watch: FileWatch, path: Path, change: object) -> float:
    """Seconds from the change to the bell."""
    bell = watch.bell(path)
    waiting = asyncio.ensure_future(bell.wait())
    await asyncio.sleep(0)
    assert callable(change)
    began = time.monotonic()
    change()
    done, _ = await asyncio.wait((waiting,), timeout=BOUND)
    assert done
    bell.close()
    return time.monotonic() - began


async def test_a_change_rings_long_before_the_poll(tmp_path: Path) -> None:
    watch = FileWatch(poll=60.0)
    path = tmp_path / "crl.pem"
    path.write_text("one")
    held = watch.bell(path)
    await ready(watch, tmp_path)
    assert await rings(watch, path, lambda: path.write_text("two")) < 10
    (tmp_path / "new").write_text("three")
    assert await rings(watch, path, lambda: (tmp_path / "new").replace(path)) < 10
    held.close()
    await watch.close()


async def test_a_configmaps_swap_rings(tmp_path: Path) -> None:
    """Kubernetes: the file is a link into ..data, which is a link that is replaced."""
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "tls.crt").write_text(version)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "tls.crt").symlink_to("..data/tls.crt")
    watch = FileWatch(poll=60.0)
    held = watch.bell(tmp_path / "tls.crt")
    await ready(watch, tmp_path)
    (tmp_path / "next").symlink_to("..2")
    assert await rings(watch, tmp_path / "tls.crt", lambda: (tmp_path / "next").replace(tmp_path / "..data")) < 10
    held.close()
    await watch.close()


async def test_where_nothing_can_be_watched_the_poll_rings(tmp_path: Path) -> None:
    watch = FileWatch(poll=0.05)
    bell = watch.bell(tmp_path / "gone" / "crl.pem")
    await asyncio.wait_for(bell.wait(), BOUND)
    await asyncio.wait_for(bell.wait(), BOUND)
    bell.close()


async def test_the_last_bell_ends_the_watch(tmp_path: Path) -> None:
    watch = FileWatch()
    first, second = watch.bell(tmp_path / "a"), watch.bell(tmp_path / "b")
    task = watch._task
    assert task is not None
    first.close()
    assert watch._task is task  # the same directory is still listened to
    second.close()
    await until(task.done, what="the end of the watch")
    assert watch._task is None


def test_directories_are_those_of_the_name_and_of_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "names").mkdir()
    (tmp_path / "real" / "file").write_text("")
    (tmp_path / "names" / "file").symlink_to(tmp_path / "real" / "file")
    assert directories_of([tmp_path / "names" / "file"]) == {tmp_path / "names", tmp_path / "real"}
    assert directories_of([tmp_path / "gone" / "file"]) == frozenset()
