"""Which task is stepped now, on each loop: asyncio's own table, behind `asyncio.current_task`.

Rule: who steps something that is a task to asyncio stands in it meanwhile, and takes itself out again.
Invariant: while somebody stands in it nobody else is stepped: see `Promise.keep`, `Reply.came`.

`_enter_task`, `_leave_task` and `current_task` are the same two operations of a dictionary, at eight times the price.
"""

import asyncio
from asyncio import tasks

stepped: dict[asyncio.AbstractEventLoop, object] = tasks._current_tasks  # type: ignore[attr-defined] # noqa: SLF001
