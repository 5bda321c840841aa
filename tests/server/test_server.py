"""Several listeners in one process, and the end of it."""

import asyncio
import select
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.app import GatewayApp
from gateway.model.exchange import Exchange
from gateway.server.protocol import HttpProtocol
from gateway.server.server import Server
from gateway.testing.ca import Authority
from gateway.testing.tls import client_context
from gateway.testing.wait import BOUND, until
from tests.serving import Client, Gateway, Spec, certificate, connected, exchange_once, get, serving, settings


def test_H8_the_protocol_class_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    monkeypatch.setenv("WEB_CONCURRENCY", "8")
    config = Server(GatewayApp(Gateway().current), []).config
    config.load()
    assert config.http_protocol_class is HttpProtocol
    assert config.ws_protocol_class is None
    assert isinstance(config.loaded_app, GatewayApp)  # and no proxy-headers middleware around it
    assert (config.workers, config.access_log, config.encoded_headers) == (1, False, [])


async def test_every_listener_is_told_from_the_others() -> None:
    async with serving(Spec("one"), Spec("two")) as gateway:
        for name in ("two", "one"):
            assert (await exchange_once(gateway.ports[name], get())).status == 200
        assert [trace.connection.listener for trace in gateway.traces] == ["two", "one"]
        assert gateway.traces[0].connection.local_port == gateway.ports["two"]


async def test_who_waits_to_be_accepted_when_the_drain_begins_is_answered() -> None:
    async with serving() as gateway:
        loop, server = asyncio.get_running_loop(), gateway.server
        assert server is not None
        acceptor = server._acceptors[0]
        loop.remove_reader(acceptor._socket.fileno())  # the kernel accepts; we do not look
        async with connected(gateway.ports["edge"]) as client:
            await client.send(get())
            server.stop()
            answer = await client.answer()
            assert (answer.status, answer.header(b"connection")) == (200, b"close")
        with pytest.raises(ConnectionRefusedError):
            await exchange_once(gateway.ports["edge"], get())


class Popular(socket.socket):
    """A listening socket that somebody comes to each time that nobody waited, in the moment after that was seen."""

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except BlockingIOError:
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(self.getsockname())
            self.came.append(client)
            raise

    came: list[socket.socket]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere who comes in that moment is reset")
async def test_who_comes_in_the_moment_of_the_close_is_not_let_in_to_be_thrown_out() -> None:
    async with serving() as gateway:
        server = gateway.server
        assert server is not None
        acceptor = server._acceptors[0]
        popular = Popular(fileno=acceptor._socket.detach())
        popular.setblocking(False)
        popular.came = []
        acceptor._socket = popular
        server.stop()
        await until(lambda: popular.fileno() < 0, what="the close")
        assert popular.came
        for client in popular.came:
            with client:
                assert not select.select([client], [], [], 0)[0]  # not reset: it is not connected yet
                with pytest.raises(OSError, match="not connected"):
                    client.getpeername()


async def test_all_who_wait_are_answered_their_handshakes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.server._ARRIVAL_SECONDS", BOUND)
    root = Authority("cluster.local")
    tls = settings([certificate(root.issue(dns=["localhost"]).write(tmp_path, "edge"))])
    async with serving(Spec(tls=tls), drain_seconds=BOUND) as gateway:
        loop, server = asyncio.get_running_loop(), gateway.server
        assert server is not None
        loop.remove_reader(server._acceptors[0]._socket.fileno())
        waiting = [socket.create_connection(("127.0.0.1", gateway.ports["edge"])) for _ in range(80)]
        server.stop()
        await until(lambda: server._acceptors[0]._socket.fileno() < 0, what="the end of the listening socket")
        context = client_context([root])
        for one in waiting[:5]:
            reader, writer = await asyncio.open_connection(sock=one, ssl=context, server_hostname="localhost")
            await Client(reader, writer).send(get())
            assert (await Client(reader, writer).answer()).status == 200
            writer.transport.abort()
        (serve,) = (task for task in asyncio.all_tasks() if "Server.serve" in repr(task))
        assert not serve.done()
        for one in waiting[5:]:
            one.setblocking(False)
            with pytest.raises(BlockingIOError):  # it was accepted and is waited for: no reset, no end
                one.recv(1)
            one.close()
        await until(serve.done, what="the end of the drain")


async def test_what_does_not_end_is_cut_off_at_the_deadline() -> None:
    async def never(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with serving(handler=never, drain_seconds=0.2) as gateway:
        async with connected(gateway.ports["edge"]) as client:
            await client.send(get())
            await until(lambda: gateway.traces)
            assert gateway.server is not None
            gateway.server.stop()
            assert await client.closed()
        await until(lambda: gateway.outcomes)  # recorded, although it was cut off


async def test_a_second_stop_does_not_wait() -> None:
    async def never(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with serving(handler=never, drain_seconds=60) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        await until(lambda: gateway.traces)
        assert gateway.server is not None
        gateway.server.stop()
        gateway.server.stop()
        assert await client.closed()
