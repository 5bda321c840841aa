"""Keys from a file."""

import json
import logging
import time
from pathlib import Path

import pytest

from gateway.control.feeds.feed import FeedError
from gateway.control.feeds.jwks_file import FileKeys
from gateway.model.reason import Reason
from gateway.testing.issuer import Issuer
from gateway.testing.wait import until
from tests.stages.authenticate.asking import reason, request, stage, trusted


def write(path: Path, issuer: Issuer) -> Path:
    path.write_text(json.dumps(issuer.jwks()))
    return path


async def test_keys_are_there_at_once_and_change_with_the_file(tmp_path: Path) -> None:
    issuer = Issuer()
    results: list[tuple[str, bool]] = []
    keys = FileKeys("corp", write(tmp_path / "jwks.json", issuer), on_refresh=lambda *r: results.append(r))
    judged = stage([trusted(issuer, keys=keys)])
    old = request(f"Bearer {issuer.token()}", now=time.time())
    assert await reason(judged, old) is None
    issuer.rotate(keep=False)
    write(tmp_path / "jwks.json", issuer)
    assert await reason(judged, request(f"Bearer {issuer.token()}", now=time.time())) is None
    assert await reason(judged, old) is Reason.TOKEN_KEY_UNKNOWN
    assert results == [("corp", True)]


async def test_the_file_is_looked_at_without_being_asked(tmp_path: Path) -> None:
    issuer = Issuer()
    keys = FileKeys("corp", write(tmp_path / "jwks.json", issuer))
    before = keys.current
    keys.start()
    issuer.rotate()
    write(tmp_path / "jwks.json", issuer)
    await until(lambda: keys.current is not before, what="the new keys")
    await keys.close()


def test_K6_a_bad_file_keeps_the_last_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results: list[bool] = []
    keys = FileKeys("corp", write(tmp_path / "jwks.json", Issuer()), on_refresh=lambda _, ok: results.append(ok))
    before = keys.current
    (tmp_path / "jwks.json").write_text("{")
    keys.reload()
    keys.reload()
    assert keys.current is before
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert results == [False]
    assert keys.failing
    assert keys.age() is None
    write(tmp_path / "jwks.json", Issuer())
    keys.reload()
    assert not keys.failing


@pytest.mark.parametrize("content", [None, "", "{}", '{"keys": []}', "[]"])
def test_a_file_that_cannot_be_used_at_start_is_one_line(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "jwks.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FeedError, match=r"issuer corp: the key set .*jwks\.json cannot be used"):
        FileKeys("corp", path)
