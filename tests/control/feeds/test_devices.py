"""Facts about devices from a file that changes."""

import logging
import os
from pathlib import Path

import pytest

from gateway.control.feeds.devices import DeviceFile
from gateway.control.feeds.feed import FeedError
from gateway.testing.wait import until


def test_a_file_that_cannot_be_used_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="cannot be used"):
        DeviceFile(tmp_path / "none.yaml")


def test_facts_are_as_old_as_the_file(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("a: {x: 1}\n")
    os.utime(path, (1000, 1000))
    feed = DeviceFile(path)
    assert (feed.devices, feed.written) == ({"a": {"x": 1}}, 1000.0)


def test_a_bad_file_keeps_the_last_good_facts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("a: {x: 1}\n")
    os.utime(path, (1000, 1000))
    feed = DeviceFile(path)
    path.write_text("a: [")
    with caplog.at_level(logging.ERROR):
        feed.reload()
    assert (feed.devices, feed.written) == ({"a": {"x": 1}}, 1000.0)
    assert "the last good facts" in caplog.text


async def test_a_changed_file_is_taken_up_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("a: {x: 1}\n")
    feed = DeviceFile(path)
    feed.start()
    feed.start()
    path.write_text("a: {x: 2, y: 3}\n")
    await until(lambda: feed.devices["a"].get("x") == 2)
    await feed.close()
