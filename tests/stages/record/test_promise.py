"""What the requests of one tick wait for, as tasks and callbacks ask it."""

import asyncio
import contextvars

import pytest

from gateway.stages.record.promise import Promise
from gateway.testing.wait import until

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


async def waiting(promise: Promise, count: int) -> list[asyncio.Task[bool]]:
    """So many tasks that wait for it by now."""

    async def wait() -> bool:
        return await promise

    tasks = [asyncio.create_task(wait()) for _ in range(count)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


@pytest.mark.parametrize("written", [True, False])
async def test_all_who_wait_hear_the_same_and_so_does_who_comes_later(written: bool) -> None:
    promise = Promise(asyncio.get_running_loop())
    tasks = await waiting(promise, 3)
    promise.keep(written=written)
    assert await asyncio.gather(*tasks) == [written] * 3
    assert await promise is written
    assert promise.done()
    assert promise.result() is written


async def test_kept_by_a_callback_who_waits_goes_on_in_it() -> None:
    loop = asyncio.get_running_loop()
    promise, seen = Promise(loop), list[str]()
    for name in ("first", "second"):
        context = contextvars.copy_context()
        context.run(WHO.set, name)
        promise.add_done_callback(lambda _: seen.append(WHO.get()), context=context)
    done = loop.create_future()

    def keep() -> None:
        promise.keep(written=True)
        done.set_result(list(seen))  # within the same callback of the loop

    loop.call_soon(keep)
    assert await done == ["first", "second"]


async def test_kept_within_a_task_who_waits_goes_on_outside_of_it() -> None:
    promise = Promise(asyncio.get_running_loop())
    (task,) = await waiting(promise, 1)
    promise.keep(written=True)  # a task may not step another
    assert not task.done()
    assert await task is True


async def test_who_is_cancelled_ends_alone() -> None:
    promise = Promise(asyncio.get_running_loop())
    one, other = await waiting(promise, 2)
    assert one.cancel()
    await asyncio.sleep(0)
    assert not one.done()  # it hears of it when it goes on: the record is on its way
    promise.keep(written=True)
    await until(lambda: one.done() and other.done())
    assert one.cancelled()
    assert other.result() is True


async def test_one_that_fails_does_not_hold_up_the_others() -> None:
    loop = asyncio.get_running_loop()
    told = list[dict[str, object]]()
    loop.set_exception_handler(lambda _, context: told.append(context))
    promise, seen = Promise(loop), list[str]()
    promise.add_done_callback(lambda _: 1 // 0)
    promise.add_done_callback(lambda _: seen.append("second"))
    promise.keep(written=True)
    await until(lambda: seen == ["second"])
    assert isinstance(told[0]["exception"], ZeroDivisionError)
    loop.set_exception_handler(None)


async def test_it_cannot_be_read_too_early() -> None:
    promise = Promise(asyncio.get_running_loop())
    assert not promise.done()
    with pytest.raises(asyncio.InvalidStateError):
        promise.result()
