"""The keys of assertions: files that change while the gateway serves, and what stays published."""

import json
from pathlib import Path

import pytest

from gateway.control.feeds.assertion import AssertionKeys, AssertionSettings
from gateway.control.feeds.feed import FeedError
from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics
from gateway.kernel.es256 import read_es256
from gateway.testing.keys import new_key, private_pem, public_pem, write_private
from gateway.testing.wait import until


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, pem: bytes | None = None) -> str:
    """Write a new key; returns its name."""
    held = private_pem(new_key()) if pem is None else pem
    write_private(path, held)
    return read_es256(held).kid


def keys(
    key: Path | None, *previous: Path, before: AssertionKeys | None = None, health: FileHealth | None = None
) -> AssertionKeys:
    settings = AssertionSettings(key, previous)
    return AssertionKeys(settings, before, health=health or FileHealth(Metrics()), clock=Clock())


def published(feed: AssertionKeys) -> list[str]:
    return [key["kid"] for key in json.loads(feed.document)["keys"]]


async def test_a_new_key_is_taken_up_live_and_the_old_one_stays_published_for_a_while(tmp_path: Path) -> None:
    file = tmp_path / "a.key"
    first = write(file)
    feed = keys(file)
    feed.start()
    try:
        assert (feed.current.kid, published(feed)) == (first, [first])
        second = write(file)
        await until(lambda: feed.current.kid == second, what="the new key")
    finally:
        await feed.close()
    assert published(feed) == [second, first]
    assert isinstance(feed._clock, Clock)
    feed._clock.now += 601
    assert published(feed) == [second]


def test_M18_a_file_that_cannot_be_used_keeps_the_key_at_work_and_is_told(tmp_path: Path) -> None:
    file, metrics = tmp_path / "a.key", Metrics()
    first = write(file)
    health = FileHealth(metrics)
    feed = keys(file, health=health)
    for broken in (b"", private_pem(new_key("ed25519"))):
        file.write_bytes(broken)
        feed.reload()
        assert feed.current.kid == first
        assert health.troubles["assertion", "assertion"].startswith(str(file))
    file.unlink()
    feed.reload()
    assert feed.current.kid == first
    second = write(file)
    feed.reload()
    assert (feed.current.kid, dict(health.troubles)) == (second, {})
    reloads = metrics.certificate_reloads
    assert reloads.labels("assertion", "assertion", "failure").value == 3
    assert reloads.labels("assertion", "assertion", "success").value == 1


def test_previous_keys_are_published_and_never_sign(tmp_path: Path) -> None:
    key, old, older = tmp_path / "a.key", tmp_path / "old.key", tmp_path / "older.pem"
    signs, was = write(key), write(old)
    older.write_bytes(public_pem(new_key()))
    feed = keys(key, old, older)
    assert feed.current.kid == signs
    assert published(feed)[:2] == [signs, was]
    assert len(published(feed)) == 3
    assert not any("d" in jwk for jwk in json.loads(feed.document)["keys"])


def test_over_a_reload_of_the_config_the_key_before_stays_published(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.key"), write(tmp_path / "b.key")
    before = keys(tmp_path / "a.key")
    after = keys(tmp_path / "b.key", tmp_path / "a.key", before=before)
    assert published(after) == [second, first]
    third = keys(None, before=after)
    assert set(published(third)) == {first, second, third.current.kid}


def test_without_a_file_one_key_serves_the_process_over_reloads() -> None:
    assert keys(None).current.kid == keys(None).current.kid


@pytest.mark.parametrize("pem", [b"", private_pem(new_key("rsa2048"))])
def test_a_key_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path, pem: bytes) -> None:
    file = tmp_path / "a.key"
    file.write_bytes(pem)
    with pytest.raises(FeedError, match=f"^assertion: {file} holds"):
        keys(file)
