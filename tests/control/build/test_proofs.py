"""The key of the nonces, and where used proofs are remembered."""

import stat
from pathlib import Path

import pytest

from gateway.control.build import proofs
from gateway.control.build.proofs import KEY_FILE, build_proofs, shared_key
from gateway.stages.authenticate.bindings.replays import MemoryReplays
from gateway.testing.pki import Folder
from tests.config.sample import changed, loaded

WITH_NONCES = ("audiences:", "dpop_nonce: on, audiences:")


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "var" / "state"
    key = shared_key(state)
    assert len(key) == 32
    assert shared_key(state) == key
    assert stat.S_IMODE((state / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == [KEY_FILE]


def test_of_two_workers_that_begin_at_once_one_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shared_key(tmp_path)
    proofs._make(tmp_path / KEY_FILE)  # a worker that saw no key a moment ago
    assert shared_key(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_key_that_others_may_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    shared_key(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        shared_key(tmp_path)
    (tmp_path / KEY_FILE).write_bytes(b"short")
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(ValueError, match="no key of 32 bytes"):
        shared_key(tmp_path)


def test_a_key_is_made_only_where_nonces_are_wanted(tmp_path: Path) -> None:
    folder = tmp_path
    Folder(folder / "certs").init()
    state = folder / "var" / "state"
    build_proofs(loaded(folder, changed()), MemoryReplays(), None)
    assert not (state / KEY_FILE).exists()
    build_proofs(loaded(folder, changed(WITH_NONCES)), MemoryReplays(), None)
    assert (state / KEY_FILE).exists()
