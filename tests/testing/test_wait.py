"""Bounded waits on a loop."""

import asyncio

import pytest

from gateway.testing.wait import until


async def test_a_condition_is_awaited_while_the_loop_runs() -> None:
    came: list[str] = []
    asyncio.get_running_loop().call_later(0.02, came.append, "it")
    await until(lambda: came)
    assert came == ["it"]


async def test_what_did_not_come_about_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"a miracle did not come about within 0.03 s"):
        await until(lambda: False, seconds=0.03, what="a miracle")
