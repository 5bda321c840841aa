"""`gateway reload` says whether the file was taken over."""

import json

import pytest

from gateway.admin import Reloaded
from tests.cli.conftest import Running


async def test_reload(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert await running.gateway_command("reload") == 0
    assert capsys.readouterr().out == "reloaded: config c0ffee is at work\n"
    running.gateway.reloaded = Reloaded(ok=False, digest="c0ffee", errors=("routes.yaml:3:1: error: no",))
    assert await running.gateway_command("reload") == 1
    told = capsys.readouterr()
    assert told.err == "routes.yaml:3:1: error: no\n"
    assert told.out == "not reloaded: config c0ffee serves on\n"
    assert await running.gateway_command("reload", "--json") == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
