"""Writing no faster than the client reads; over real sockets in tests/server/test_cycle.py."""

import asyncio
from typing import cast

import pytest

from gateway.server.listener import Listener
from gateway.server.outgoing import Outgoing
from gateway.server.settings import Limits
from gateway.testing.wait import until
from tests.serving import Gateway


class Transport:
    """Holds what it is told."""

    def __init__(self, *waiting: int) -> None:
        self.waiting = list(waiting)  # bytes, at each look
        self.aborted = self.closed = False

    def get_write_buffer_size(self) -> int:
        return self.waiting.pop(0) if len(self.waiting) > 1 else self.waiting[0]

    def get_extra_info(self, name: str) -> None:
        """No socket: what the client has acknowledged is not known."""

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True


def made(transport: Transport) -> Outgoing:
    outgoing = Outgoing(Listener("edge", Limits(idle_timeout=0.05), Gateway()))
    outgoing.transport = cast("asyncio.Transport", transport)
    return outgoing


async def test_nobody_waits_for_a_client_that_reads() -> None:
    await made(Transport(0)).drained()


async def test_who_writes_waits_until_the_client_has_read() -> None:
    outgoing = made(Transport(5))
    outgoing.pause_writing()
    waiting = asyncio.ensure_future(outgoing.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    outgoing.resume_writing()
    await waiting


async def test_a_close_waits_for_a_client_that_is_owed_something_and_for_no_other() -> None:
    at_once, later = Transport(0), Transport(5, 5, 0)
    made(at_once).close_when_taken()
    assert at_once.closed
    assert len(at_once.waiting) == 1
    outgoing = made(later)
    outgoing.close_when_taken()
    assert not later.closed
    await until(lambda: later.closed, what="the close")
    outgoing.stop_watch()


@pytest.mark.parametrize(("looks", "cut"), [((5, 5), True), ((9, 7, 5, 3, 0), False)])
async def test_a_client_that_stands_still_is_cut_off_and_a_slow_one_is_not(looks: tuple[int, ...], cut: bool) -> None:
    transport = Transport(*looks)
    outgoing = made(transport)
    outgoing.pause_writing()
    waiting = asyncio.ensure_future(outgoing.drained())
    await until(lambda: transport.aborted if cut else len(transport.waiting) == 1)
    assert transport.aborted is cut
    outgoing.resume_writing()
    await waiting
