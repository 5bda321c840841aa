"""TLS over the loop's plain connections: what is handed up, what never is, and how a connection ends.

The peer is OpenSSL by hand over a real socket: it says which bytes come together, and when.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from gateway.kernel import tls_layer
from gateway.kernel.tls_layer import TlsLayer
from gateway.testing.ca import Authority
from gateway.testing.tls import client_context, server_context
from gateway.testing.wait import BOUND, until

CA = Authority("cluster.local")
SERVER = server_context(CA.issue(dns=["localhost"]))
CLIENT = client_context([CA])


@pytest.fixture(params=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


class Upper(asyncio.Protocol):
    """The protocol above: it writes down what it is told, and in which order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data = b""
        self.lost: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        assert data
        self.data += data
        if self.told[-1] != "data":
            self.told.append("data")

    def eof_received(self) -> None:
        self.told.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.told.append("lost")

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class Peer:
    """The other end of the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.loop = asyncio.get_running_loop()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = CLIENT.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.socket, data)

    async def receive(self) -> bytes:
        """Bytes as they come; b"" at the end, however it came."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.loop.sock_recv(self.socket, 65536), BOUND)
        return b""

    async def shake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                return await self.send(self.outgoing.read())
            except ssl.SSLWantReadError:
                await self.send(self.outgoing.read())
                self.incoming.write(await self.receive())

    def sealed(self, data: bytes) -> bytes:
        """As records that are not sent yet."""
        self.tls.write(data)
        return self.outgoing.read()

    def goodbye(self) -> bytes:
        """A close_notify that is not sent yet."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()

    async def read(self, size: int) -> bytes:
        """So many bytes, or what comes before the end."""
        got = b""
        while len(got) < size:
            try:
                piece = self.tls.read(65536)
            except ssl.SSLZeroReturnError:  # in place of b"" where it has said it too
                break
            except ssl.SSLWantReadError:
                data = await self.receive()
                if not data:
                    raise ConnectionResetError("it ended without a close_notify") from None
                self.incoming.write(data)
                continue
            if not piece:
                break
            got += piece
        return got


@contextlib.asynccontextmanager
async def meeting(handshake_timeout: float | None = BOUND) -> AsyncGenerator[tuple[Upper, TlsLayer, Peer]]:
    """Both ends of one connection, before the handshake. The layer is the server."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as client:
        accepted, _ = door.accept()
        for end in (accepted, client):
            end.setblocking(False)
        upper = Upper()
        layer = TlsLayer(upper, SERVER, handshake_timeout, server_side=True)
        await loop.connect_accepted_socket(lambda: layer, accepted)
        try:
            yield upper, layer, Peer(client)
        finally:
            layer.abort()
            await until(lambda: layer._upper is None, what="the end of the connection")


@contextlib.asynccontextmanager
async def shaken() -> AsyncGenerator[tuple[Upper, TlsLayer, Peer]]:
    """Both ends of one connection, after the handshake."""
    async with meeting() as (upper, layer, peer):
        await peer.shake()
        await layer.shaken
        assert upper.told == ["made"]
        yield upper, layer, peer


@pytest.mark.parametrize("size", [1, 16383, 16384, 16385, 300_000])
async def test_what_is_written_arrives_whole_both_ways(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with shaken() as (upper, layer, peer):
        await peer.send(peer.sealed(data))
        await until(lambda: len(upper.data) >= size)
        assert upper.data == data
        layer.write(data)
        layer.write(b"")
        assert await peer.read(size) == data


async def test_records_that_come_byte_by_byte_and_several_at_once() -> None:
    async with shaken() as (upper, layer, peer):
        for byte in peer.sealed(b"slowly"):
            layer.data_received(bytes((byte,)))
        assert upper.data == b"slowly"
        layer.data_received(peer.sealed(b", one") + peer.sealed(b", two") + peer.sealed(b", three")[:7])
        assert upper.data == b"slowly, one, two"


async def test_a_record_in_two_halves_the_second_with_another_behind_it() -> None:
    async with shaken() as (upper, layer, peer):
        first, second = peer.sealed(b"a" * 1000), peer.sealed(b"b")
        layer.data_received(first[:900])
        assert upper.data == b""
        layer.data_received(first[900:] + second)  # what it opens is more than what came now
        assert upper.data == b"a" * 1000 + b"b"


async def test_what_comes_with_the_end_of_the_handshake_is_handed_up() -> None:
    async with meeting() as (upper, layer, peer):
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        await peer.send(peer.outgoing.read())
        while True:
            peer.incoming.write(await peer.receive())
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.tls.do_handshake()
                break
        await peer.send(peer.outgoing.read() + peer.sealed(b"early"))
        await layer.shaken
        await until(lambda: upper.data)
        assert (upper.told, upper.data) == (["made", "data"], b"early")


async def test_a_close_notify_behind_data_is_an_end_in_order() -> None:
    async with shaken() as (upper, _, peer):
        await peer.send(peer.sealed(b"last words") + peer.goodbye())
        await until(lambda: "lost" in upper.told)
        assert (upper.told, upper.data, upper.lost) == (["made", "data", "eof", "lost"], b"last words", None)
        assert await peer.read(1) == b""  # and it is answered by one


async def test_H23_a_bare_fin_is_no_end_in_order() -> None:
    async with shaken() as (upper, _, peer):
        await peer.send(peer.sealed(b"cut"))
        peer.socket.shutdown(socket.SHUT_WR)
        await until(lambda: "lost" in upper.told)
        assert upper.told == ["made", "data", "lost"]


@pytest.mark.parametrize("at", [0, 5, -1])
async def test_a_record_that_was_changed_ends_the_connection_and_nothing_of_it_is_handed_up(at: int) -> None:
    async with shaken() as (upper, _, peer):
        record = bytearray(peer.sealed(b"transfer 10"))
        record[at] ^= 0x01
        await peer.send(bytes(record) + peer.sealed(b"and what is behind it"))
        await until(lambda: "lost" in upper.told)
        assert (upper.told, upper.data) == (["made", "lost"], b"")
        assert isinstance(upper.lost, ssl.SSLError)


async def test_a_changed_record_behind_a_good_one_in_the_same_piece() -> None:
    async with shaken() as (upper, layer, peer):
        good, bad = peer.sealed(b"good"), bytearray(peer.sealed(b"bad"))
        bad[-1] ^= 0x01
        layer.data_received(good + bytes(bad))
        await until(lambda: "lost" in upper.told)
        assert upper.data == b"good"
        assert isinstance(upper.lost, ssl.SSLError)


async def test_a_record_that_comes_again_ends_the_connection() -> None:
    async with shaken() as (upper, _, peer):
        record = peer.sealed(b"once")
        await peer.send(record + record)
        await until(lambda: "lost" in upper.told)
        assert upper.data == b"once"
        assert isinstance(upper.lost, ssl.SSLError)


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 64, b"\x16\x03\x01\xff\xff" + b"x" * 99]
)
async def test_what_is_no_tls_is_never_told_of(sent: bytes) -> None:
    async with meeting() as (upper, layer, peer):
        await peer.send(sent)
        peer.socket.shutdown(socket.SHUT_WR)
        with pytest.raises(OSError):
            await layer.shaken
        await until(lambda: layer._upper is None)
        assert upper.told == []


async def test_who_goes_away_in_the_handshake_is_never_told_of() -> None:
    async with meeting() as (upper, layer, peer):
        peer.socket.close()
        with pytest.raises(ConnectionResetError):
            await layer.shaken
        assert upper.told == []


async def test_a_handshake_that_stands_still_ends_at_its_deadline() -> None:
    async with meeting(0.05) as (upper, layer, peer):
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        await peer.send(peer.outgoing.read()[:20])
        with pytest.raises(TimeoutError, match="the handshake took too long"):
            await layer.shaken
        assert await peer.receive() == b""
        assert upper.told == []


async def test_who_gives_up_the_handshake_aborts_it() -> None:
    async with meeting() as (upper, layer, peer):
        waiting = asyncio.ensure_future(layer.shaken)
        layer.abort()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await peer.receive() == b""
        assert upper.told == []
    alone = TlsLayer(upper, SERVER, BOUND, server_side=True)
    alone.abort()  # it never was connected
    assert alone.shaken.cancelled()


async def test_one_that_was_broken_off_before_it_was_connected_ends_its_connection() -> None:
    loop, upper = asyncio.get_running_loop(), Upper()
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as client:
        accepted, _ = door.accept()
        for end in (accepted, client):
            end.setblocking(False)
        layer = TlsLayer(upper, SERVER, None, server_side=True)
        layer.abort()
        await loop.connect_accepted_socket(lambda: layer, accepted)
        assert await Peer(client).receive() == b""
        assert (layer.shaken.cancelled(), upper.told) == (True, [])


async def test_whoever_keeps_the_time_of_a_handshake_ends_it() -> None:
    async with meeting(None) as (upper, layer, peer):
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        await peer.send(peer.outgoing.read()[:20])
        layer.late()
        with pytest.raises(TimeoutError, match="the handshake took too long"):
            await layer.shaken
        assert await peer.receive() == b""
        assert upper.told == []


async def test_a_close_is_said_and_waits_for_the_answer() -> None:
    async with shaken() as (upper, layer, peer):
        layer.write(b"bye")
        layer.close()
        layer.close()
        layer.write(b"never sent")
        assert layer.is_closing()
        assert await peer.read(99) == b"bye"  # b"" of a close_notify ends it
        assert upper.told == ["made"]
        await peer.send(peer.sealed(b"too late") + peer.goodbye())
        await until(lambda: "lost" in upper.told)
        assert (upper.told, upper.data, upper.lost) == (["made", "lost"], b"", None)


async def test_who_does_not_answer_a_close_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_layer, "_CLOSE_WITHIN", 0.05)
    async with shaken() as (upper, layer, peer):
        layer.close()
        await peer.send(peer.sealed(b"on and on"))
        await until(lambda: "lost" in upper.told)
        assert upper.data == b""


async def test_a_close_is_read_to_its_end_though_reading_was_paused() -> None:
    async with shaken() as (upper, layer, peer):
        layer.pause_reading()
        await peer.send(peer.sealed(b"not read") + peer.goodbye())
        layer.close()
        await until(lambda: "lost" in upper.told)
        assert upper.told == ["made", "lost"]


async def test_who_does_not_read_is_waited_for() -> None:
    async with shaken() as (upper, layer, peer):
        sent = 0
        while upper.told[-1] != "pause":
            layer.write(b"x" * 65536)
            sent += 65536
        assert layer.get_write_buffer_size() > 0
        assert await peer.read(sent) == b"x" * sent
        await until(lambda: upper.told[-1] == "resume")


async def test_what_waits_while_reading_is_paused_is_handed_up_behind_it() -> None:
    async with shaken() as (upper, layer, peer):
        layer.pause_reading()
        await peer.send(peer.sealed(b"later"))
        layer.write(b"x")
        assert await peer.read(1) == b"x"  # a turn of the loop and more
        assert upper.data == b""
        layer.resume_reading()
        await until(lambda: upper.data == b"later")


async def test_the_session_and_the_socket_are_told_and_half_a_close_is_not_offered() -> None:
    async with shaken() as (_, layer, peer):
        assert layer.get_extra_info("ssl_object") is layer.session
        assert layer.get_extra_info("peername") == peer.socket.getsockname()
        assert layer.get_extra_info("nothing of the kind", 7) == 7
        assert not layer.can_write_eof()
