"""The scripted backend, asked over real sockets."""

import asyncio
import json

from gateway.testing.ca import Authority
from gateway.testing.tls import client_context, server_context
from gateway.testing.upstream import Upstream, answer, echo, in_turn, raw, silent
from gateway.testing.wait import until

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\n\r\n"


async def exchange(upstream: Upstream, *sent: bytes, end: bytes = b"") -> bytes:
    """Send bytes over one connection; what came back up to `end`, or to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    for data in sent:
        writer.write(data)
    got = await (reader.readuntil(end) if end else reader.read())
    writer.close()
    return got


async def test_heads_are_recorded_byte_for_byte() -> None:
    async with Upstream() as upstream:
        got = await exchange(upstream, GET, end=b"ok")
        assert got == b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok"
    (call,) = upstream.calls
    assert (call.head, call.method, call.target, call.version) == (GET, b"GET", b"/a?b", b"HTTP/1.1")
    assert call.values("X-a") == [b"1", b"2"]
    assert bytes(upstream.bytes_in[0]) == GET


async def test_bodies_are_read_both_ways_and_never_taken_for_the_next_request() -> None:
    post = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nde\r\n1\r\nf\r\n0\r\nT: v\r\n\r\n"
    async with Upstream(raw(b"HTTP/1.1 204 \r\n\r\n")) as upstream:
        await exchange(upstream, post, chunked, GET, end=b"204 \r\n\r\nHTTP/1.1 204 \r\n\r\nHTTP/1.1 204 \r\n\r\n")
        first, second, third = upstream.calls
        assert await first.body() == b"abc"
        assert (await second.body(), second.trailers) == (b"def", ((b"T", b"v"),))
        assert (third.target, third.connection) == (b"/a?b", 0)


async def test_scripts_take_turns_and_the_last_one_stays() -> None:
    async with Upstream(in_turn(answer(503), raw(b"nonsense", close=True))) as upstream:
        assert await exchange(upstream, GET, GET) == b"HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\nnonsense"
        assert await exchange(upstream, GET) == b"nonsense"
        assert upstream.connections == 2


async def test_the_end_of_a_connection_is_seen() -> None:
    async with Upstream(silent) as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(GET)
        await until(lambda: upstream.calls)
        assert not upstream.closed
        writer.close()
        await until(lambda: upstream.closed == {0})


async def test_it_starts_again_where_it_was() -> None:
    upstream = Upstream()
    await upstream.start()
    port = upstream.port
    await upstream.stop()
    await upstream.start()
    assert (upstream.port, await exchange(upstream, GET, end=b"ok") != b"") == (port, True)
    await upstream.stop()


async def test_over_mtls_it_knows_who_called() -> None:
    ca = Authority("cluster.local")
    me = "spiffe://cluster.local/ns/gateway/sa/gateway"
    tls = server_context(ca.issue(dns=["localhost"]), [ca])
    async with Upstream(echo("inventory"), tls=tls) as upstream:
        context = client_context([ca], ca.issue(uri=me))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", upstream.port, ssl=context, server_hostname="localhost"
        )
        writer.write(GET)
        answered = await reader.readuntil(b"\r\n\r\n")
        length = int(answered.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        seen = json.loads(await reader.readexactly(length))
        writer.close()
    assert (seen["backend"], seen["caller"], seen["target"]) == ("inventory", me, "/a?b")
    assert upstream.calls[0].spiffe_id == me


async def test_a_connection_that_is_broken_off_before_it_is_read_is_closed() -> None:
    class Hasty(Upstream):
        def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            super()._accept(reader, writer)
            for task in self._tasks:
                task.cancel()  # as `stop` may, in the very turn of the loop in which it came

    async with Hasty() as upstream:
        assert await exchange(upstream) == b""
