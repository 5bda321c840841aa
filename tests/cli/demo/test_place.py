"""How `gateway demo --try` finds the demo that runs."""

import os
from pathlib import Path

import pytest

from gateway.cli.demo.place import PREFIX, Place, find


def test_only_a_demo_that_runs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert find() is None
    for name, pid in (("gone", 2**22 + 1), ("runs", os.getpid())):
        folder = tmp_path / f"{PREFIX}{name}"
        folder.mkdir()
        Place(folder, pid, 1, 2, 3, "http://127.0.0.1:4", "http://127.0.0.1:5").write()
    found = find()
    assert found is not None
    assert (found.folder.name, found.edge, found.app) == (f"{PREFIX}runs", 1, "http://127.0.0.1:5")


def test_another_users_folder_or_a_link_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Place(elsewhere, os.getpid(), 1, 2, 3, "", "").write()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    assert find() is None
    elsewhere.rename(tmp_path / f"{PREFIX}real")
    assert find() is not None
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert find() is None


def test_half_a_file_is_no_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"{PREFIX}x"
    folder.mkdir()
    (folder / "demo.json").write_text('{"pid": ')
    assert find() is None
