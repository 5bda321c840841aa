"""Who is stepped now: the same answer as asyncio's, whichever way it is kept."""

import asyncio
from asyncio import tasks
from collections.abc import MutableMapping

import pytest

from gateway.kernel import stepped as module
from gateway.kernel.stepped import Stepped, stepped

TABLES = [pytest.param(stepped, id="this-python"), pytest.param(Stepped(), id="by-functions")]


@pytest.mark.parametrize("table", TABLES)
async def test_who_stands_in_it_is_the_current_task_and_nobody_else(
    table: MutableMapping[asyncio.AbstractEventLoop, object],
) -> None:
    loop, seen = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    assert table[loop] is asyncio.current_task()
    assert list(table) == [loop]
    assert len(table) == 1

    def between_tasks() -> None:
        before = loop in table, len(table)
        stranger = object()
        table[loop] = stranger
        inside = asyncio.current_task() is stranger and table[loop] is stranger
        del table[loop]
        seen.set_result((before, inside, asyncio.current_task()))

    loop.call_soon(between_tasks)
    assert await seen == ((False, 0), True, None)


async def test_a_python_without_the_table_gets_the_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("not the running loop")

    monkeypatch.setattr(tasks, "_current_tasks", {})
    assert isinstance(module._table(), Stepped)
    monkeypatch.setattr(tasks, "_enter_task", refuse)
    assert isinstance(module._table(), Stepped)
