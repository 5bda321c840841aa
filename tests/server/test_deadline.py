"""Deadlines that move without touching the timer."""

import asyncio

from gateway.server.deadline import Deadline
from gateway.testing.wait import until


async def test_what_was_armed_last_is_called_once() -> None:
    called: list[str] = []
    deadline = Deadline(asyncio.get_running_loop())
    deadline.arm(0.01, lambda: called.append("early"))
    deadline.arm(0.05, lambda: called.append("late"))
    await until(lambda: called)
    await asyncio.sleep(0.06)  # bounded: nothing may come any more
    assert called == ["late"]


async def test_a_deadline_can_move_forward() -> None:
    loop, called = asyncio.get_running_loop(), list[float]()
    deadline = Deadline(loop)
    began = loop.time()
    deadline.arm(60, lambda: called.append(-1))
    deadline.arm(0.02, lambda: called.append(loop.time() - began))
    await until(lambda: called)
    assert 0.015 < called[0] < 5


async def test_it_can_be_armed_again_from_its_own_call_and_after_disarming() -> None:
    called: list[int] = []
    deadline = Deadline(asyncio.get_running_loop())

    def again() -> None:
        called.append(1)
        if len(called) < 3:
            deadline.arm(0.001, again)

    deadline.arm(0.001, lambda: called.append(-1))
    deadline.disarm()
    deadline.arm(0.002, again)
    await until(lambda: len(called) == 3)
    assert called == [1, 1, 1]


async def test_nothing_is_called_after_disarm_and_close() -> None:
    called: list[int] = []
    loop = asyncio.get_running_loop()
    one, two = Deadline(loop), Deadline(loop)
    one.arm(0.001, lambda: called.append(1))
    two.arm(0.001, lambda: called.append(2))
    one.disarm()
    two.close()
    two.close()
    await asyncio.sleep(0.02)
    assert called == []
