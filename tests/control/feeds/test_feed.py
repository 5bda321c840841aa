"""Noticing that a file changed."""

import os
from pathlib import Path

from gateway.control.feeds.feed import Watched


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
