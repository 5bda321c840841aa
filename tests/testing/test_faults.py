"""The fault proxy: passes bytes on, and fails as it is told."""

import asyncio

import pytest

from gateway.testing.faults import FaultProxy
from gateway.testing.upstream import Call, Upstream, answer
from gateway.testing.wait import until

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def test_bytes_pass_both_ways() -> None:
    async with Upstream(answer(body=b"hello")) as backend, FaultProxy(backend.port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.close()
        await until(lambda: backend.closed)


async def test_a_stalled_answer_comes_when_it_flows_again() -> None:
    async with Upstream(answer(body=b"hello")) as backend, FaultProxy(backend.port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.stall()
        writer.write(REQUEST)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        proxy.resume()
        assert await reader.readuntil(b"hello")
        writer.close()


async def test_an_answer_is_cut() -> None:
    async with Upstream(answer(body=b"hello")) as backend, FaultProxy(backend.port) as proxy:
        proxy.cut_after = 10
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        assert await reader.read() == b"HTTP/1.1 2"
        writer.close()


async def test_a_reset_is_a_reset() -> None:
    async with Upstream() as backend, FaultProxy(backend.port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await until(lambda: backend.connections == 1)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_refused_until_it_starts_again() -> None:
    async with Upstream() as backend, FaultProxy(backend.port) as proxy:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.start()
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.close()
        assert proxy.accepted <= 1


async def test_a_delay_holds_back() -> None:
    async with Upstream(answer(body=b"hello")) as backend, FaultProxy(backend.port) as proxy:
        proxy.delay = 0.05
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        began = asyncio.get_running_loop().time()
        writer.write(REQUEST)
        await reader.readuntil(b"hello")
        assert asyncio.get_running_loop().time() - began > 0.095  # the loop counts whole milliseconds
        writer.close()


async def test_a_half_closed_answer_ends_while_the_request_still_passes() -> None:
    async def reads_on(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\n")
        assert await call.read(4) == b"more"

    async with Upstream(reads_on) as backend, FaultProxy(backend.port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        assert await reader.readline()
        proxy.half_close()
        assert await reader.read() == b""
        writer.write(b"more")
        await until(lambda: bytes(backend.bytes_in[0]).endswith(b"more"))
        writer.close()


async def test_a_rate_holds_up_who_writes() -> None:
    async with Upstream() as backend, FaultProxy(backend.port) as proxy:
        proxy.rate = 2000
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        began = asyncio.get_running_loop().time()
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 300\r\n\r\n" + b"x" * 300)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert asyncio.get_running_loop().time() - began > 0.15
        writer.close()
