"""The lane is a task to what it awaits, and fair to who shares the loop with it."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

import gateway as package
from gateway.model.exchange import Exchange
from gateway.model.reason import Reason
from gateway.server.exchange import HttpExchange
from gateway.server.lane import LaneExchange
from gateway.testing.wait import until
from tests.serving import Gateway, connected, exchange_once, get, serving


@pytest.fixture
async def stuck() -> AsyncGenerator[tuple[Gateway, LaneExchange]]:
    """A request that waits for ever."""

    async def never(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with serving(handler=never, drain_seconds=0.1) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        await until(lambda: gateway.traces)
        assert gateway.server is not None
        (work,) = gateway.server._working
        assert isinstance(work, LaneExchange)
        yield gateway, work


async def answered(exchange: Exchange, text: str) -> None:
    await exchange.send_head(200, [], text.encode(), end=True)


async def test_a_timeout_inside_the_pipeline_fires() -> None:
    async def late(exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(0.01):  # noqa: TID251 - what is tested
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.wait_for(asyncio.sleep(0), 5)
            await answered(exchange, "timed out")

    async with serving(handler=late) as gateway:
        assert (await exchange_once(gateway.ports["edge"], get())).body == b"timed out"


async def test_a_timeout_that_does_not_fire_leaves_the_request_alone() -> None:
    async def quick(exchange: Exchange) -> None:
        async with asyncio.timeout(5):  # noqa: TID251 - what is tested
            await asyncio.sleep(0)
        await answered(exchange, "in time")

    async with serving(handler=quick) as gateway:
        assert (await exchange_once(gateway.ports["edge"], get())).body == b"in time"


async def test_a_task_group_inside_the_pipeline_waits_for_its_tasks_and_ends_with_the_first_that_fails() -> None:
    async def group(exchange: Exchange) -> None:
        done: list[int] = []

        async def work(number: int) -> None:
            await asyncio.sleep(0)
            done.append(number)

        async def fail() -> None:
            raise LookupError

        async def failing() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                await asyncio.Event().wait()

        async with asyncio.TaskGroup() as tasks:
            for number in range(3):
                tasks.create_task(work(number))
        with pytest.raises(ExceptionGroup):
            await failing()
        await answered(exchange, str(done))

    async with serving(handler=group) as gateway:
        assert (await exchange_once(gateway.ports["edge"], get())).body == b"[0, 1, 2]"


async def test_a_failure_that_is_awaited_is_raised_where_it_is_awaited() -> None:
    async def failing(exchange: Exchange) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, LookupError("it"))
        with pytest.raises(LookupError, match="it"):
            await future
        await answered(exchange, "raised")

    async with serving(handler=failing) as gateway:
        assert (await exchange_once(gateway.ports["edge"], get())).body == b"raised"


async def test_the_current_task_is_the_request_and_nothing_of_it_stays_behind() -> None:
    names: list[object] = []

    async def look(exchange: Exchange) -> None:
        names.append(asyncio.current_task())
        await asyncio.sleep(0)
        names.append(asyncio.current_task())
        await answered(exchange, "ok")

    async with serving(handler=look) as gateway:
        await exchange_once(gateway.ports["edge"], get())
        assert isinstance(names[0], LaneExchange)
        assert names[1] is names[0]
        assert names[0].done()
        assert names[0].cancel() is False
        assert gateway.server is not None
        assert not gateway.server._working


async def test_who_awaits_what_is_no_future_is_told_so_and_the_client_gets_a_500() -> None:
    class Foreign:
        def __await__(self) -> Generator[object]:
            yield "another loop's promise"

    async def wrong(exchange: Exchange) -> None:
        await Foreign()

    async with serving(handler=wrong) as gateway:
        assert (await exchange_once(gateway.ports["edge"], get())).status == 500
        assert gateway.outcomes[0].reason is Reason.INTERNAL


async def test_a_request_that_is_cancelled_is_recorded_as_gone(stuck: tuple[Gateway, LaneExchange]) -> None:
    gateway, work = stuck
    assert work.cancel()
    await until(lambda: gateway.outcomes)
    assert gateway.outcomes[0].reason is Reason.CLIENT_GONE
    assert work.done()
    assert gateway.server is not None
    await until(lambda: not gateway.listeners["edge"].connections)  # nothing was answered: the connection is broken off


async def test_a_request_that_is_cancelled_in_the_moment_in_which_it_goes_on_is_cancelled() -> None:
    promises: list[asyncio.Future[None]] = []
    went_on: list[int] = []

    async def wait(exchange: Exchange) -> None:
        promises.append(asyncio.get_running_loop().create_future())
        await promises[0]
        went_on.append(1)

    async with serving(handler=wait) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        await until(lambda: promises)
        assert gateway.server is not None
        (work,) = gateway.server._working
        promises[0].set_result(None)
        work.cancel()
        await until(lambda: gateway.outcomes)
        assert not went_on


async def test_a_request_that_cancels_itself_ends_where_it_waits_next() -> None:
    async def give_up(exchange: Exchange) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    async with serving(handler=give_up) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        assert await client.closed()
        assert gateway.outcomes[0].reason is Reason.CLIENT_GONE


async def test_thousands_of_pipelined_requests_that_never_wait_are_answered_in_order_and_others_in_between() -> None:
    many = 3000
    order: list[bytes] = []

    async def at_once(exchange: Exchange) -> None:
        order.append(exchange.head.target)
        await exchange.send_head(200, [(b"x-target", exchange.head.target)], b"", end=True)

    async with (
        serving(handler=at_once) as gateway,
        connected(gateway.ports["edge"]) as greedy,
        connected(gateway.ports["edge"]) as other,
    ):
        greedy.writer.write(b"".join(get(f"/{number}") for number in range(many)))
        await until(lambda: order)
        await other.send(get("/other"))
        assert (await other.answer()).status == 200
        for number in range(many):
            assert (await greedy.answer()).header(b"x-target") == b"/%d" % number
        assert order.index(b"/other") < many


async def test_a_body_that_came_with_its_head_is_there_at_the_first_read_and_no_100_is_sent() -> None:
    reads: list[bool] = []

    async def read(exchange: Exchange) -> None:
        assert isinstance(exchange, HttpExchange)
        reads.append(bool(exchange.pieces))
        assert await exchange.read() == b"abc"
        assert await exchange.read() == b""
        await answered(exchange, "ok")

    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
    async with serving(handler=read) as gateway:
        assert (await exchange_once(gateway.ports["edge"], raw)).body == b"ok"  # and not 100
        assert reads == [True]


async def test_sending_to_a_connection_that_is_broken_off_fails_at_once() -> None:
    sent: list[int] = []

    async def endless(exchange: Exchange) -> None:
        await exchange.send_head(200, [], b"x", end=False)
        exchange.abort()
        for _ in range(100):
            await exchange.send(b"x", end=False)
            sent.append(1)

    async with serving(handler=endless) as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        await until(lambda: gateway.outcomes)
        assert gateway.outcomes[0].reason is Reason.CLIENT_GONE
        assert not sent


@pytest.mark.parametrize("part", ["model", "upstreams", "stages", "pipeline.py"])
def test_no_request_sets_a_context_variable_for_its_context_is_not_its_own(part: str) -> None:
    place = Path(package.__file__).parent / part
    files = [place] if place.is_file() else [*place.rglob("*.py")]
    assert files
    assert not [file for file in files if "ContextVar" in file.read_text(encoding="utf-8")]


async def test_a_body_is_at_hand_once_all_of_it_came_and_until_it_is_read() -> None:
    told: list[bool] = []

    async def asked(exchange: Exchange) -> None:
        told.append(exchange.at_hand)
        read = 0
        while piece := await exchange.read():
            read += len(piece)
            told.append(exchange.at_hand)
        told.append(exchange.at_hand)
        await answered(exchange, str(read))

    async with serving(handler=asked) as gateway, connected(gateway.ports["edge"]) as client:
        start = b"POST / HTTP/1.1\r\nHost: a\r\n"
        await client.send(start + b"Content-Length: 5\r\n\r\nhello")
        assert (await client.answer()).body == b"5"
        assert told == [True, False, False]
        told.clear()
        await client.send(get())
        assert ((await client.answer()).body, told) == (b"0", [False, False])
        told.clear()
        await client.send(start + b"Content-Length: 5\r\n\r\nhel")
        await until(lambda: told)
        await client.send(b"lo")
        assert (await client.answer()).body == b"5"
        assert True not in told
        told.clear()
        for _ in range(4):  # found by its bytes from the third time on
            await client.send(start + b"Content-Length: 2\r\n\r\nhi")
            assert (await client.answer()).body == b"2"
        assert told == [True, False, False] * 4
        await client.send((start + b"Content-Length: 2\r\n\r\nhi") * 3)  # pipelined
        assert [(await client.answer()).body for _ in range(3)] == [b"2"] * 3
