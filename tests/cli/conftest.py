"""A gateway's admin address at work, for the commands that call it."""

import asyncio
from pathlib import Path

import pytest

from gateway.admin import AdminServer, admin_app, bind_admin, settings_for
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
