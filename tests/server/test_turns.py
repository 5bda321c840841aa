"""One task answers all requests of a connection, and is known as working only while it does."""

import asyncio

from gateway.model.exchange import Exchange
from gateway.testing.wait import until
from tests.serving import connected, get, serving


async def test_a_connection_has_one_task_for_all_its_requests() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def handler(exchange: Exchange) -> None:
        tasks.append(asyncio.current_task())
        await exchange.send_head(200, [(b"content-length", b"0")], end=True)

    async with serving(handler=handler) as gateway, connected(gateway.ports["edge"]) as client:
        for _ in range(3):
            await client.send(get())
            await client.answer()
        await client.send(get() + get())  # pipelined: the second waits for its turn
        await client.answer()
        await client.answer()
    assert len(tasks) == 5
    assert len(set(tasks)) == 1


async def test_a_task_that_waits_for_a_request_is_not_working() -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        await client.answer()
        assert gateway.server is not None
        working = gateway.server._tasks
        await until(lambda: not working, what="the task to be idle")


async def test_the_task_ends_with_its_connection() -> None:
    async with serving() as gateway:
        before = len(asyncio.all_tasks())
        async with connected(gateway.ports["edge"]) as client:
            await client.send(get())
            await client.answer()
        await until(lambda: len(asyncio.all_tasks()) <= before, what="the task to end")
