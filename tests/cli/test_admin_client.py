"""status, reload and drain find a running gateway by its config, and say what it answered."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.admin import AdminServer, Check, Reloaded, admin_app, bind_admin, settings_for
from gateway.cli.main import main
from gateway.testing.ca import Authority
from gateway.testing.process import free_port
from gateway.testing.tls import server_context
from tests.admin.scene import Gateway

CONFIG = """
version: 1
state_dir: state
listeners: {{edge: {{address: "127.0.0.1:{edge}"}}}}
routes: [{{name: health, match: {{paths: [/health]}}, public: true, respond: {{status: 200}}}}]
{admin}
"""


class Running:
    """A gateway's admin address at work, and the config that names it."""

    def __init__(self, directory: Path, admin: str, gateway: Gateway) -> None:
        self.config = directory / "routes.yaml"
        self.config.write_text(CONFIG.format(edge=free_port(), admin=admin))
        self.gateway = gateway

    async def gateway_command(self, *words: str) -> int:
        return await asyncio.to_thread(main, ["-c", str(self.config), *words])


@pytest.fixture(params=["tcp", "unix", "tls", "given token"])
async def running(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    gateway, host, token, context = Gateway(), "127.0.0.1", None, None
    if request.param == "unix":
        host, bound = "", bind_admin(str(tmp_path / "admin.sock"), None)
        admin = f'admin: {{address: "unix://{tmp_path}/admin.sock"}}'
    else:
        bound = bind_admin("127.0.0.1", 0)
        more = ""
        if request.param == "tls":
            issued = Authority("cluster.local").issue(dns=["admin.example"])
            issued.write(tmp_path, "admin")
            context = server_context(issued)
            more = ", tls: {certificate: admin.pem, key: admin.key}"
        elif request.param == "given token":
            token = "given-to-the-operators"
            (tmp_path / "token").write_text(f"{token}\n")
            more = ", token: {file: token}"
        admin = f'admin: {{address: "127.0.0.1:{bound.getsockname()[1]}"{more}}}'
    settings = settings_for(host, token, tmp_path / "state", secure=context is not None)
    server = AdminServer(admin_app(settings, gateway.source()), bound, context)
    await server.start()
    yield Running(tmp_path, admin, gateway)
    await server.stop()


async def test_status(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert await running.gateway_command("status") == 0
    assert capsys.readouterr().out == "version: 0.1.0\nconfig:\n  digest: c0ffee\n"
    assert await running.gateway_command("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["workers"][0]["config"] == {"digest": "c0ffee"}


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


async def test_drain(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert await running.gateway_command("drain") == 0
    assert running.gateway.drains == 1
    assert capsys.readouterr().out.startswith("draining")
    assert await running.gateway_command("drain", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True}


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
