"""One connection: back pressure both ways, and what becomes of it when the gateway drains."""

import asyncio

from gateway.model.exchange import Exchange
from gateway.server.cycle import HIGH_WATER
from gateway.server.protocol import HttpProtocol
from gateway.server.settings import Limits
from gateway.testing.wait import until
from tests.serving import Gateway, connected, get, gone, serving


def only(gateway: Gateway) -> HttpProtocol:
    (connection,) = gateway.listeners["edge"].connections
    return connection


async def test_a_body_that_nobody_reads_is_not_taken_from_the_socket() -> None:
    go, sizes = asyncio.Event(), list[int]()

    async def late(exchange: Exchange) -> None:
        await go.wait()
        while piece := await exchange.read():
            sizes.append(len(piece))
        await exchange.send_head(200, [], end=True)

    size = 8 << 20
    async with serving(handler=late) as gateway, connected(gateway.ports["edge"]) as client:
        client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await until(lambda: gateway.listeners["edge"].connections and only(gateway)._read_paused)
        cycle = only(gateway)._cycle
        assert cycle is not None
        assert cycle.buffered <= HIGH_WATER + (256 << 10)  # one read of the loop beyond the mark
        go.set()
        assert (await client.answer()).status == 200
        assert sum(sizes) == size
        assert max(sizes) <= HIGH_WATER + (256 << 10)


async def test_an_answer_that_nobody_reads_holds_up_its_sender() -> None:
    async with serving(handler=gone) as gateway:
        async with connected(gateway.ports["edge"]) as client:
            await client.send(get())
            await until(lambda: gateway.listeners["edge"].connections and only(gateway).write_paused)
            held = only(gateway).transport.get_write_buffer_size()
            assert held < 1 << 20
            assert await client.reader.readexactly(4 << 20)  # it goes on as the client reads
        await until(lambda: gateway.outcomes)


async def test_a_slow_reader_is_not_taken_for_one_that_stalls() -> None:
    sent: list[int] = []

    async def large(exchange: Exchange) -> None:
        await exchange.send_head(200, [], b"x", end=False)
        for _ in range(64):
            await exchange.send(b"x" * 65536, end=False)
            sent.append(1)
        await exchange.send(b"", end=True)

    limits = Limits(idle_timeout=0.2)
    async with serving(handler=large, limits=limits) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        total = 0
        while chunk := await client.reader.read(65536):
            total += len(chunk)
            if len(sent) < 60:
                await asyncio.sleep(0.01)  # slower than the sender, and never silent for long
            if chunk.endswith(b"0\r\n\r\n"):
                break
        assert total > 4 << 20


async def test_an_idle_connection_is_given_a_last_chance_when_the_gateway_drains() -> None:
    async with (
        serving() as gateway,
        connected(gateway.ports["edge"]) as client,
        connected(gateway.ports["edge"]) as idle,
    ):
        for one in (client, idle):
            await one.send(get())
            assert (await one.answer()).header(b"connection") is None
        assert gateway.server is not None
        gateway.server.stop()
        await until(lambda: gateway.listeners["edge"].draining)
        await client.send(get("/last"))
        answer = await client.answer()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
        assert await idle.all(3) == b""


async def test_a_head_that_is_on_its_way_when_the_gateway_drains_is_answered() -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(b"GET /half HTTP/1.1\r\nHo")
        await until(lambda: gateway.listeners["edge"].connections and only(gateway)._rest)
        assert gateway.server is not None
        gateway.server.stop()
        await until(lambda: gateway.listeners["edge"].draining)
        await client.send(b"st: a\r\n\r\n")
        assert (await client.answer()).header(b"connection") == b"close"
