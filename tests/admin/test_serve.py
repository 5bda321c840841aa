"""The admin socket: bound first, clear when it cannot be, its user's alone."""

import os
import signal
import socket
from pathlib import Path

import pytest

from gateway.admin import AdminServer, bind_admin
from tests.admin.scene import Gateway, serving


def test_a_port_in_use_is_one_clear_line() -> None:
    taken = bind_admin("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(OSError, match=rf"cannot listen on the admin address 127\.0\.0\.1:{port}"):
        bind_admin("127.0.0.1", port)
    taken.close()


def test_a_socket_left_by_a_process_that_is_gone_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    bind_admin(str(path), None).close()
    assert path.exists()
    bind_admin(str(path), None).close()


def test_a_socket_at_work_and_what_is_no_socket_stay(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    first = bind_admin(str(path), None)
    with pytest.raises(OSError, match="cannot listen on the admin address"):
        bind_admin(str(path), None)
    first.close()
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(OSError, match="cannot listen"):
        bind_admin(str(file), None)
    assert file.read_text() == "mine"


def test_over_ipv6() -> None:
    bound = bind_admin("::1", 0)
    assert bound.family is socket.AF_INET6
    bound.close()


async def test_signals_stay_with_their_owner() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with serving(Gateway().source()) as client:
        assert signal.getsignal(signal.SIGTERM) is before
        assert (await client.get("/livez")).status_code == 200
    assert signal.getsignal(signal.SIGTERM) is before


async def test_stop_closes_the_socket() -> None:
    bound = bind_admin("127.0.0.1", 0)
    port = bound.getsockname()[1]
    server = AdminServer(_nothing, bound)
    await server.start()
    await server.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert os.getpid()


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody asks")
