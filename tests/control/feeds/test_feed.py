"""Noticing that a file changed."""

import asyncio
import os
from pathlib import Path

from gateway.control.feeds.feed import REST, Watched


def test_a_change_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    path.write_text("one")
    watched = Watched(path)
    assert watched.changed()
    assert not watched.changed()
    path.write_text("three")
    assert watched.changed()
    assert not watched.changed()


def test_replacing_removing_and_coming_back_are_changes(tmp_path: Path) -> None:
    path, new = tmp_path / "bundle.pem", tmp_path / "new"
    path.write_text("one")
    watched = Watched(path)
    watched.changed()
    new.write_text("two")
    os.utime(new, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    new.replace(path)
    assert watched.changed()
    path.unlink()
    assert watched.changed()
    assert not watched.changed()
    path.write_text("one")
    assert watched.changed()


def test_a_symlink_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes swaps a mounted secret: the name stays, the folder behind it changes."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "crl.pem").write_text(name)
    data = tmp_path / "data"
    data.symlink_to("one")
    watched = Watched(data / "crl.pem")
    watched.changed()
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(data)
    assert watched.changed()


async def test_what_changes_on_is_settled_once_it_rests(tmp_path: Path) -> None:
    path, written = tmp_path / "edge.pem", list[str]()
    watched, loop = Watched(path), asyncio.get_running_loop()
    path.write_text("one")
    assert await watched.settled()
    assert not await watched.settled()

    def write(text: str) -> None:
        path.write_text(text)
        written.append(text)

    write("three")
    for turn, text in enumerate(["fives", "sevens!", "elevens!!"]):
        loop.call_later(REST * (turn + 0.5), write, text)
    assert await watched.settled()
    assert written == ["three", "fives", "sevens!", "elevens!!"]
    assert not watched.changed()


async def test_what_never_rests_is_read_in_the_end(tmp_path: Path) -> None:
    path, turns = tmp_path / "edge.pem", list[int]()
    watched, loop = Watched(path), asyncio.get_running_loop()

    def write() -> None:
        turns.append(0)
        path.write_text("x" * len(turns))
        loop.call_later(REST / 4, write)

    write()
    assert await asyncio.wait_for(watched.settled(), timeout=30)
