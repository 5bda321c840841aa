"""Bounded waits on a loop."""

import asyncio

import pytest

from gateway.testing.clock import Clock
from gateway.testing.wait import until


async def test_a_condition_is_awaited_while_the_loop_runs() -> None:
    came: list[str] = []
    asyncio.get_running_loop().call_later(0.02, came.append, "it")
    await until(lambda: came)
    assert came == ["it"]


async def test_what_did_not_come_about_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"a miracle did not come about within 0.03 s"):
        await until(lambda: False, seconds=0.03, what="a miracle")


def test_a_clock_moves_only_when_told() -> None:
    clock = Clock(100.0)
    assert (clock(), clock.advance(2.5), clock()) == (100.0, 102.5, 102.5)
    assert clock.datetime.isoformat() == "1970-01-01T00:01:42.500000+00:00"
