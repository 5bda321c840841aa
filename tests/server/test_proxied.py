"""The PROXY protocol in front of real connections: who is believed, what is refused, and that nothing else is read."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.kernel.patterns.blocks import compile_blocks, parse_block
from gateway.server.proxied import SIGNATURE
from gateway.server.settings import Limits
from gateway.testing.ca import Authority
from gateway.testing.tls import client_context
from gateway.testing.wait import until
from tests.serving import Client, Gateway, Spec, certificate, get, serving, settings

LOOPBACK = compile_blocks([parse_block("127.0.0.0/8")])
ELSEWHERE = compile_blocks([parse_block("10.0.0.0/8")])
ROOT = Authority("cluster.local")


def header(
    source: str = "203.0.113.9", port: int = 4711, *, command: int = 0x21, family: int | None = None, more: bytes = b""
) -> bytes:
    """A header as HAProxy sends it, from `source` to an address of its own."""
    packed = ip_address(source).packed
    known = 0x11 if len(packed) == 4 else 0x21
    told = packed + bytes(len(packed)) + port.to_bytes(2) + (443).to_bytes(2) + more
    return SIGNATURE + bytes([command, known if family is None else family]) + len(told).to_bytes(2) + told


@contextlib.asynccontextmanager
async def behind(gateway: Gateway, *pieces: bytes, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Client]:
    """A connection on which these bytes come first."""
    raw = socket.create_connection(("127.0.0.1", gateway.ports["edge"]))
    raw.setblocking(False)
    for piece in pieces:
        await asyncio.get_running_loop().sock_sendall(raw, piece)
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(
        sock=raw, ssl=tls, server_hostname="localhost" if tls is not None else None
    )
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def peer(gateway: Gateway, *pieces: bytes, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
    """Whom a request behind these bytes came from."""
    async with behind(gateway, *pieces, tls=tls) as client:
        await client.send(get())
        assert (await client.answer()).status == 200
    connection = gateway.traces[-1].connection
    return str(connection.peer_ip), connection.peer_port


@pytest.mark.parametrize(
    ("raw", "source"),
    [
        (header(), ("203.0.113.9", 4711)),
        (header("2001:db8::7", 1), ("2001:db8::7", 1)),
        (header("::ffff:203.0.113.9"), ("203.0.113.9", 4711)),
        (header(more=b"\x04\x00\x03abc"), ("203.0.113.9", 4711)),
    ],
)
async def test_a_trusted_proxy_says_whose_connection_it_is(raw: bytes, source: tuple[str, int]) -> None:
    async with serving(Spec(proxies=LOOPBACK)) as gateway:
        assert await peer(gateway, raw) == source
        assert await peer(gateway, raw[:5], raw[5:20], raw[20:]) == source


async def test_what_follows_is_the_clients_own_tls_too(tmp_path: Path) -> None:
    tls = settings([certificate(ROOT.issue(dns=["localhost"]).write(tmp_path, "edge"))])
    async with serving(Spec(tls=tls, proxies=LOOPBACK)) as gateway:
        assert await peer(gateway, header(), tls=client_context([ROOT])) == ("203.0.113.9", 4711)
        assert gateway.handshakes[-1] == ("edge", "", "")


@pytest.mark.parametrize("raw", [header(command=0x20), header(command=0x20, family=0), header(family=0)])
async def test_a_proxy_that_speaks_for_itself_is_the_peer(raw: bytes) -> None:
    async with serving(Spec(proxies=LOOPBACK)) as gateway:
        assert (await peer(gateway, raw))[0] == "127.0.0.1"


HOSTILE = [
    pytest.param(get() + get(), id="H15-none"),
    pytest.param(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n" + get(), id="H15-version-1"),
    pytest.param(header(command=0x11), id="H15-another-version"),
    pytest.param(header(command=0x22), id="H15-another-command"),
    pytest.param(header(family=0x12), id="H15-datagrams"),
    pytest.param(header(family=0x31), id="H15-unix"),
    pytest.param(header(family=0x21), id="H15-too-short-for-its-family"),
    pytest.param(SIGNATURE + b"\x21\x11\x00\x00" + get(), id="H15-no-addresses"),
    pytest.param(header(more=bytes(5000)), id="H15-too-long"),
    pytest.param(header()[1:], id="H15-signature-cut"),
]


@pytest.mark.parametrize("raw", HOSTILE)
async def test_a_header_that_is_not_in_order_ends_the_connection(raw: bytes) -> None:
    async with serving(Spec(proxies=LOOPBACK)) as gateway:
        async with behind(gateway, raw) as client:
            assert await client.closed()
        assert not gateway.traces
        assert gateway.reasons == ["proxy_header"]
        assert not gateway.listeners["edge"].arriving


async def test_H15_a_header_of_a_stranger_is_no_header() -> None:
    async with serving(Spec(proxies=ELSEWHERE)) as gateway:
        async with behind(gateway, header() + get()) as client:
            assert (await client.all()).startswith(b"HTTP/1.1 400")
        assert (await peer(gateway))[0] == "127.0.0.1"


async def test_H15_without_the_setting_nobodys_header_is_one() -> None:
    async with serving() as gateway, behind(gateway, header() + get()) as client:
        assert (await client.all()).startswith(b"HTTP/1.1 400")


async def test_a_second_header_is_the_clients_and_refused() -> None:
    async with serving(Spec(proxies=LOOPBACK)) as gateway, behind(gateway, header() + header() + get()) as client:
        assert (await client.all()).startswith(b"HTTP/1.1 400")


async def test_a_header_that_does_not_come_is_not_waited_for_for_long() -> None:
    limits = Limits(header_timeout=0.1)
    async with serving(Spec(proxies=LOOPBACK), limits=limits) as gateway:
        async with behind(gateway, header()[:10]) as client:
            assert await client.closed()
        assert gateway.reasons == ["timeout"]
        async with behind(gateway, header()[:10]) as client:
            client.close()
        await until(lambda: len(gateway.reasons) == 2)
        assert gateway.reasons[1] in ("proxy_header", "closed")
