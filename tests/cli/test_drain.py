"""`gateway drain` begins to drain."""

import json

import pytest

from tests.cli.conftest import Running


async def test_drain(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert await running.gateway_command("drain") == 0
    assert running.gateway.drains == 1
    assert capsys.readouterr().out.startswith("draining")
    assert await running.gateway_command("drain", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True}
