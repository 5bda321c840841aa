"""Keys in a file that several processes share."""

import asyncio
import stat
from pathlib import Path

import pytest

from gateway.control.feeds.kept import Kept, KeptKeys

KEPT = Kept(b'{"keys":[]}', 100.0, 90.0, 300.0)


def keys(folder: Path, issuer: str = "https://auth.example.com") -> KeptKeys:
    held = KeptKeys(folder, issuer, "https://auth.example.com/jwks")
    held.prepare()
    return held


def test_what_is_written_is_read_and_is_its_users_alone(tmp_path: Path) -> None:
    held = keys(tmp_path)
    assert held.read() is None
    held.write(KEPT)
    assert keys(tmp_path).read() == KEPT
    assert stat.S_IMODE(held.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(held.path.parent.stat().st_mode) == 0o700


def test_another_issuers_keys_are_none_of_ours(tmp_path: Path) -> None:
    one, other = keys(tmp_path), keys(tmp_path, "https://other.example.com")
    one.write(KEPT)
    assert other.read() is None
    one.path.replace(other.path)
    assert other.read() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"issuer": "https://auth.example.com", "jwks": 5}'])
def test_a_file_that_is_not_whole_holds_nothing(tmp_path: Path, text: str) -> None:
    held = keys(tmp_path)
    held.path.write_text(text)
    assert held.read() is None


async def test_one_turn_at_a_time(tmp_path: Path) -> None:
    first, second = keys(tmp_path), keys(tmp_path)
    inside: list[str] = []

    async def wait() -> None:
        async with second.turn():
            inside.append("second")

    async with first.turn():
        waiting = asyncio.ensure_future(wait())
        done, _ = await asyncio.wait((waiting,), timeout=0.1)
        assert not done
        inside.append("first")
    await waiting
    assert inside == ["first", "second"]


async def test_where_no_lock_can_be_had_everybody_has_a_turn(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    one, other = (KeptKeys(tmp_path / "state", "https://a.example", None) for _ in range(2))
    async with one.turn(), other.turn():
        one.write(KEPT)
    assert one.read() is None
