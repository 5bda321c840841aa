"""The keys of assertions over a reload."""

import time
from pathlib import Path

from gateway.control.build.assertion import assertion_keys
from gateway.control.feeds.assertion import AssertionKeys
from gateway.control.feeds.watch import FileWatch
from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics
from gateway.testing.keys import new_key, private_pem, write_private
from tests.control.build.test_own import config


def test_they_live_on_while_their_files_stay_the_same(tmp_path: Path) -> None:
    write_private(tmp_path / "a.key", private_pem(new_key()))

    def keys(more: str, previous: AssertionKeys | None = None) -> AssertionKeys | None:
        loaded = config(tmp_path, more)
        return assertion_keys(loaded, previous, FileHealth(Metrics()), FileWatch(), time.time)

    first = keys("assertion: {issuer: a, key: a.key}\n")
    assert first is not None
    assert keys("assertion: {issuer: b, key: a.key}\n", first) is first
    other = keys("assertion: {issuer: a}\n", first)
    assert other is not None
    assert other is not first
    assert first.current.kid in other.document.decode()
    assert keys("", first) is None
