"""A cancellation that comes just when what was waited for is there."""

import asyncio
from collections.abc import Awaitable, Callable


async def cancelled_at_each_turn(
    wait: Callable[["asyncio.Future[None]"], Awaitable[object]], turns: int = 8
) -> list[bool]:
    """For each of the next turns of the loop after the result: did a task that was cancelled then end cancelled?

    `wait` gives what the task runs: it waits for the future. Turns at which the task is done are left out.
    """
    found = []
    for turn in range(turns):
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(wait(future))
        for _ in range(3):
            await asyncio.sleep(0)
        future.set_result(None)
        for _ in range(turn):
            await asyncio.sleep(0)
        if task.cancel():
            await asyncio.gather(task, return_exceptions=True)
            found.append(task.cancelled())
    return found
