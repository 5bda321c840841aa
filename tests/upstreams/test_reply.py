"""What a request waits for on a connection to a backend, as tasks and callbacks ask it."""

import asyncio
import contextvars

import pytest

from gateway.kernel.stepped import stepped
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.testing.wait import until
from gateway.upstreams.reply import Reply
from gateway.upstreams.usual import Usual, read_usual

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


@pytest.fixture
def usual() -> Usual:
    found = read_usual(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert found is not None
    return found


def asked() -> Reply:
    reply = Reply(asyncio.get_running_loop())
    reply.begin()
    return reply


async def waiting(reply: Reply) -> "asyncio.Task[Usual | None]":
    """A task that waits for it by now."""

    async def wait() -> Usual | None:
        return await reply

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_task_takes_one_answer_after_the_other(usual: Usual) -> None:
    reply = asked()
    for _ in range(3):
        task = await waiting(reply)
        asyncio.get_running_loop().call_soon(reply.came, usual)
        assert await task is usual
        assert await reply is None  # it is not kept
        reply.begin()


async def test_who_waits_goes_on_in_the_callback_that_brought_it_and_in_its_own_context(usual: Usual) -> None:
    loop, reply, seen = asyncio.get_running_loop(), asked(), list[str]()
    context = contextvars.copy_context()
    context.run(WHO.set, "it")
    reply.add_done_callback(lambda _: seen.append(WHO.get()), context=context)
    done = loop.create_future()

    def come() -> None:
        reply.came(usual)
        done.set_result(list(seen))  # within the same callback of the loop

    loop.call_soon(come)
    assert await done == ["it"]


async def test_within_a_task_who_waits_goes_on_outside_of_it(usual: Usual) -> None:
    reply = asked()
    task = await waiting(reply)
    reply.came(usual)  # a task may not step another
    assert not task.done()
    assert await task is usual
    assert asyncio.get_running_loop() in stepped  # this test's own task stands there as before


async def test_a_failure_is_raised_where_it_is_awaited_and_once_more() -> None:
    reply = asked()
    task = await waiting(reply)
    reply.settle(Refused(Reason.UPSTREAM_RESET))
    for each in (task, reply):
        with pytest.raises(Refused):
            await each


async def test_who_is_cancelled_goes_on_and_what_comes_then_is_not_for_him(usual: Usual) -> None:
    reply = asked()
    task = await waiting(reply)
    assert task.cancel()
    reply.came(usual)
    await until(task.done)
    assert task.cancelled()
    assert not reply.cancel()


async def test_who_asks_what_is_there_already_goes_on_with_the_next_turn(usual: Usual) -> None:
    reply, seen = asked(), list[Reply]()
    reply.came(usual)
    reply.add_done_callback(seen.append)
    assert not seen
    await until(lambda: seen == [reply])
    assert reply.done()
