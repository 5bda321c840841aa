"""What a backend does not take."""

import asyncio

from gateway.upstreams.backlog import Backlog


async def test_who_waits_goes_on_once_it_is_taken() -> None:
    backlog = Backlog()
    backlog.wake()
    taken = backlog.taken(asyncio.get_running_loop())
    assert not taken.done()
    backlog.wake()
    backlog.wake()
    assert taken.done()


async def test_a_writer_that_was_cancelled_is_not_woken() -> None:
    backlog = Backlog()
    backlog.taken(asyncio.get_running_loop()).cancel()
    backlog.wake()
    assert not backlog.full
