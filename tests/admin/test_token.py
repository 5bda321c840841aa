"""The random token of a local address: its user's alone, from its first byte."""

import stat
from pathlib import Path

from gateway.admin.guard import settings_for


def test_a_local_address_gets_a_random_token_that_only_its_user_can_read(tmp_path: Path) -> None:
    first = settings_for("127.0.0.1", None, tmp_path / "state")
    path = tmp_path / "state" / "admin-token"
    assert path.read_text().strip() == first.token
    assert first.token is not None
    assert len(first.token) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert settings_for("", None, tmp_path / "state").token != first.token


def test_a_token_file_that_lies_there_is_replaced_and_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "admin-token").symlink_to(victim)
    assert settings_for("::1", None, tmp_path).token is not None
    assert victim.read_text() == "mine"
    assert not (tmp_path / "admin-token").is_symlink()
