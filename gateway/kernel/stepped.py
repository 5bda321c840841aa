"""Which task is stepped now, on each loop: asyncio's own table, behind `asyncio.current_task`.

Rule: who steps something that is a task to asyncio stands in it meanwhile, and takes itself out again.
Invariant: while somebody stands in it nobody else is stepped: see `Promise.keep`, `Reply.came`.

`_enter_task`, `_leave_task` and `current_task` are the same two operations of a dictionary, at eight times the price.
"""

import asyncio
from asyncio import tasks
from collections.abc import Iterator, MutableMapping


class Stepped(MutableMapping[asyncio.AbstractEventLoop, object]):
    """The same by asyncio's functions, for a Python that keeps no such table (3.14 has it in each thread's state)."""

    def __getitem__(self, loop: asyncio.AbstractEventLoop) -> object:
        task = asyncio.current_task(loop)
        if task is None:
            raise KeyError(loop)
        return task

    def __setitem__(self, loop: asyncio.AbstractEventLoop, task: object) -> None:
        tasks._enter_task(loop, task)  # type: ignore[arg-type] # noqa: SLF001 - what a library's own tasks are told to call

    def __delitem__(self, loop: asyncio.AbstractEventLoop) -> None:
        tasks._leave_task(loop, self[loop])  # type: ignore[arg-type] # noqa: SLF001 - as above

    def __iter__(self) -> Iterator[asyncio.AbstractEventLoop]:
        loop = asyncio.get_running_loop()
        return iter((loop,) if loop in self else ())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _table() -> MutableMapping[asyncio.AbstractEventLoop, object]:
    """That of asyncio, where what its functions write is found in it."""
    table: dict[asyncio.AbstractEventLoop, object] | None = getattr(tasks, "_current_tasks", None)
    probe = object()
    try:
        tasks._enter_task(probe, probe)  # type: ignore[arg-type] # noqa: SLF001 - any two objects will do
    except RuntimeError:  # it wants the loop that runs
        return Stepped()
    try:
        return table if table is not None and probe in table else Stepped()
    finally:
        tasks._leave_task(probe, probe)  # type: ignore[arg-type] # noqa: SLF001 - as above


stepped: MutableMapping[asyncio.AbstractEventLoop, object] = _table()
