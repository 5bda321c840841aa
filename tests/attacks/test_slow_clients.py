"""Clients that send or take a body slower than the listener's least rate, and those who only look it."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.kernel import tls_layer
from gateway.model.exchange import ClientGone, Exchange
from gateway.server.settings import Limits, TlsSettings
from gateway.testing.ca import Authority
from gateway.testing.tls import client_context
from gateway.testing.wait import BOUND, until
from tests.serving import Client, Gateway, Spec, certificate, connected, get, serving

pytestmark = pytest.mark.usefixtures("driver")

FAST = Limits(idle_timeout=60, min_data_rate=10_000, data_rate_window=0.3)
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


async def drip(client: Client, piece: bytes) -> None:
    """Send on and on, a little at a time, until the connection ends."""
    with contextlib.suppress(OSError):
        while not client.writer.is_closing():
            await client.send(piece)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("start", "piece"),
    [pytest.param(LONG, b"x", id="H9-length"), pytest.param(CHUNKED, b"1\r\nx\r\n", id="H9-chunked")],
)
async def test_a_body_that_drips_is_408(start: bytes, piece: bytes) -> None:
    async with serving(limits=FAST) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(start)
        dripping = asyncio.create_task(drip(client, piece))
        answer = await client.answer()
        assert (answer.status, answer.header(b"connection")) == (408, b"close")
        await asyncio.wait_for(dripping, BOUND)
        assert gateway.seen == []


async def test_H9_a_body_that_drips_behind_a_begun_answer_is_cut_off() -> None:
    async def early(exchange: Exchange) -> None:
        await exchange.send_head(200, [], b"x", end=False)
        while await exchange.read():
            pass

    async with serving(limits=FAST, handler=early) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(LONG)
        dripping = asyncio.create_task(drip(client, b"x"))
        with contextlib.suppress(ConnectionError):
            assert not (await client.all()).endswith(b"0\r\n\r\n")
        await asyncio.wait_for(dripping, BOUND)


async def test_a_body_at_the_rate_is_taken_however_long_it_takes() -> None:
    limits = Limits(min_data_rate=1000, data_rate_window=0.4)
    async with serving(limits=limits) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n")
        for _ in range(30):
            await client.send(b"x" * 300)
            await asyncio.sleep(0.03)  # 10 kB a second, over two windows
        assert (await client.answer()).status == 200
        assert len(gateway.seen[0].body) == 9000


async def test_a_backend_that_takes_its_time_is_not_the_clients_fault() -> None:
    pause = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.read()
        await pause.wait()
        while await exchange.read():
            pass
        await exchange.send_head(200, [(b"content-length", b"0")], end=True)

    limits = Limits(min_data_rate=1_000_000, data_rate_window=0.1)
    async with serving(limits=limits, handler=slow) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        asyncio.get_running_loop().call_later(0.3, pause.set)
        await pause.wait()
        await client.send(b"cd")
        assert (await client.answer()).status == 200


async def test_an_answer_that_rests_for_longer_than_a_window_goes_on() -> None:
    async def events(exchange: Exchange) -> None:
        await exchange.send_head(200, [(b"content-type", b"text/event-stream")], b"data: 1\n\n", end=False)
        await asyncio.sleep(0.4)
        await exchange.send(b"data: 2\n\n", end=True)

    limits = Limits(min_data_rate=1_000_000, data_rate_window=0.1)
    async with serving(limits=limits, handler=events) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        assert (await client.answer()).body == b"data: 1\n\ndata: 2\n\n"


async def sip(client: Client) -> None:
    """Take the answer a little at a time."""
    with contextlib.suppress(OSError):
        while await client.reader.read(512):  # noqa: ASYNC110 - it is slow, it does not wait
            await asyncio.sleep(0.02)


async def endless(exchange: Exchange) -> None:
    await exchange.send_head(200, [], b"x", end=False)
    with contextlib.suppress(ClientGone):
        while True:
            await exchange.send(b"x" * 65536, end=False)


@contextlib.asynccontextmanager
async def narrow(gateway: Gateway, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Client]:
    """A client whose system takes little ahead of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", gateway.ports["edge"]))
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=tls, server_hostname="localhost" if tls else None, limit=2048
    )
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("encrypted", [False, True], ids=["H9-plain", "H9-tls"])
async def test_an_answer_that_is_sipped_is_cut_off(tmp_path: Path, encrypted: bool) -> None:
    authority = Authority("cluster.local")
    files = authority.issue(dns=["localhost"]).write(tmp_path, "edge")
    spec = Spec(tls=TlsSettings((certificate(files),))) if encrypted else Spec()
    limits = Limits(idle_timeout=60, min_data_rate=1_000_000, data_rate_window=0.4)
    async with serving(spec, limits=limits, handler=endless) as gateway:
        context = client_context([authority]) if encrypted else None
        async with narrow(gateway, context) as client:
            await client.send(get())
            sipping = asyncio.create_task(sip(client))
            await until(lambda: gateway.outcomes and gateway.open == 0)
            sipping.cancel()


async def test_an_answer_that_is_taken_at_the_rate_is_not_cut_off() -> None:
    size = 1 << 20

    async def large(exchange: Exchange) -> None:
        await exchange.send_head(200, [(b"content-length", b"%d" % size)], b"", end=False)
        for _ in range(15):
            await exchange.send(b"x" * 65536, end=False)
        await exchange.send(b"x" * 65536, end=True)

    limits = Limits(min_data_rate=10_000, data_rate_window=0.4)
    async with serving(limits=limits, handler=large) as gateway, narrow(gateway) as client:
        await client.send(get("/", "Connection: close"))
        got = 0
        while piece := await client.reader.read(16384):
            got += len(piece)
            await asyncio.sleep(0.01)
        assert got > size
        assert gateway.refused == []


async def test_the_end_of_an_answer_waits_for_a_client_that_is_slow_but_not_too_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What closes TLS gives the client a while: not the time to take the answer too."""
    monkeypatch.setattr(tls_layer, "_CLOSE_WITHIN", 0.2)
    size = 6 << 20  # more than the kernel holds

    async def once(exchange: Exchange) -> None:
        await exchange.send_head(200, [(b"content-length", b"%d" % size)], b"x" * size, end=True)

    authority = Authority("cluster.local")
    files = authority.issue(dns=["localhost"]).write(tmp_path, "edge")
    async with serving(Spec(tls=TlsSettings((certificate(files),))), handler=once) as gateway:
        got = await asyncio.to_thread(read_slowly, gateway.ports["edge"], client_context([authority]))
        assert got > size


def read_slowly(port: int, tls: ssl.SSLContext) -> int:
    """Bytes of one answer, taken over most of a second by a client whose system holds little of it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(BOUND)
        sock.connect(("127.0.0.1", port))
        with tls.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=True) as client:
            client.sendall(get("/", "Connection: close"))
            got = 0
            while piece := client.recv(65536):
                got += len(piece)
                time.sleep(0.003)
            return got
