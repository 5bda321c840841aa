"""A running gateway is found by its config; what stands in the way is one clear line."""

import json
from pathlib import Path

import pytest

from gateway.admin import Check
from gateway.testing.ca import Authority
from tests.admin.scene import Gateway
from tests.cli.conftest import Running


@pytest.mark.parametrize("running", ["tcp"], indirect=True)
async def test_a_wrong_token_and_a_missing_one_are_2(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    token = running.config.parent / "state" / "admin-token"
    token.write_text("another\n")
    assert await running.gateway_command("reload", "--json") == 2
    told = capsys.readouterr()
    assert "does not take this token" in json.loads(told.out)["error"]["message"]
    token.unlink()
    assert await running.gateway_command("status") == 2
    assert "is the gateway running" in capsys.readouterr().err
    assert running.gateway.reloads == 0


@pytest.mark.parametrize("running", ["tls"], indirect=True)
async def test_only_the_very_certificate_is_believed(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    Authority("cluster.local").issue(dns=["admin.example"]).write(running.config.parent, "admin")
    assert await running.gateway_command("status") == 2
    assert "no gateway answers" in capsys.readouterr().err
    assert running.gateway.calls == []  # the token never left


@pytest.mark.parametrize("admin", ["", 'admin: {address: "127.0.0.1:1"}'])
async def test_without_an_address_or_an_answer_it_is_2(
    admin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "admin-token").write_text("x")
    running = Running(tmp_path, admin, Gateway(checks=[Check("x", ok=True)]))
    assert await running.gateway_command("status") == 2
    assert capsys.readouterr().err.count("\n") == 1
