"""One connection to a backend, without a backend; tests/stages/forward has them at work."""

import asyncio
import contextlib

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.connection import Connection
from gateway.upstreams.lost import Lost
from gateway.upstreams.reply import Reply
from tests.rings import left_behind

USUAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HI = 200, [(b"content-length", b"2")], b"hi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"


class Pool:
    """Keeps what comes back, for an hour."""

    def __init__(self) -> None:
        self.back: list[Connection] = []
        self.gone: list[Connection] = []

    def put_back(self, connection: Connection, now: float) -> None:
        if now < connection.kept_until:
            self.back.append(connection)

    def dropped(self, connection: Connection) -> None:
        self.gone.append(connection)


class Wire(asyncio.Transport):
    """What was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.ended = True

    abort = close


def _idle() -> tuple[Pool, Wire, Connection]:
    pool, wire, loop = Pool(), Wire(), asyncio.get_running_loop()
    connection = Connection(pool, loop)
    connection.connection_made(wire)
    connection.kept_until = loop.time() + 3600
    return pool, wire, connection


def _ask(connection: Connection, method: str = "GET") -> Reply:
    return connection.ask(method, 60.0, 60.0, float("inf"), b"%b / HTTP/1.1\r\n\r\n" % method.encode())


async def test_a_usual_answer_is_all_that_there_is_to_a_request() -> None:
    _, wire, connection = _idle()
    for served in (1, 2, 3):
        asked = _ask(connection)
        assert connection.busy
        connection.data_received(USUAL)
        assert await asked == HI
        assert (connection.busy, connection.closed, connection.served) == (False, False, served)
    assert wire.written == [b"GET / HTTP/1.1\r\n\r\n"] * 3


@pytest.mark.parametrize("pieces", [[CHUNKED], [USUAL[:9], USUAL[9:]], [USUAL[:-1], USUAL[-1:]]])
async def test_another_answer_is_read_at_length_and_the_next_one_may_be_usual(pieces: list[bytes]) -> None:
    pool, _, connection = _idle()
    for _ in range(2):
        asked = _ask(connection)
        for piece in pieces:
            connection.data_received(piece)
        assert await asked is None
        assert (connection.answer.status, await connection.read(), await connection.read()) == (200, b"hi", b"")
        connection.finish(whole=True)
        asked = _ask(connection)
        connection.data_received(USUAL)
        assert await asked == HI
    assert pool.back == [connection, connection]


async def test_H24_the_same_bytes_to_head_are_no_usual_answer_whatever_was_asked_before() -> None:
    _, wire, connection = _idle()
    asked = _ask(connection)
    connection.data_received(USUAL)
    await asked
    asked = _ask(connection, "HEAD")
    connection.data_received(USUAL)
    assert await asked is None
    assert (connection.answer.complete, connection.answer.take(), connection.answer.reusable) == (True, b"", False)
    connection.finish(whole=True)
    assert wire.ended


@pytest.mark.parametrize("surplus", [b"x", USUAL])
async def test_H24_bytes_behind_a_usual_answer_end_the_connection_before_another_request(surplus: bytes) -> None:
    pool, wire, connection = _idle()
    asked = _ask(connection)
    connection.data_received(USUAL)
    connection.data_received(surplus)
    assert await asked == HI
    assert (connection.closed, wire.ended, pool.gone) == (True, True, [connection])
    pool.put_back(connection, asyncio.get_running_loop().time())
    assert pool.back == []


async def test_who_leaves_behind_a_usual_answer_takes_no_connection_along() -> None:
    _, wire, connection = _idle()
    asked = _ask(connection)
    connection.data_received(USUAL)
    connection.client_gone()
    assert (await asked is None, connection.closed, wire.ended) == (False, False, False)


async def test_a_connection_that_is_gone_says_so_to_who_asks_it() -> None:
    _, wire, connection = _idle()
    connection.connection_lost(None)
    with pytest.raises(Lost) as lost:
        await _ask(connection)
    assert (lost.value.untouched, wire.written) == (True, [])


async def test_a_connection_that_ends_before_a_byte_of_the_answer_was_untouched() -> None:
    _, _, connection = _idle()
    asked = _ask(connection)
    connection.data_received(USUAL)
    await asked
    for came in (b"", b"H"):
        _, _, connection = _idle()
        asked = _ask(connection)
        if came:
            connection.data_received(came)
        connection.connection_lost(None)
        with pytest.raises(Lost) as lost:
            await asked
        assert lost.value.untouched is not bool(came)


async def test_a_connection_that_ended_leaves_no_ring_to_the_collector() -> None:
    class Forgetful:
        def put_back(self, connection: Connection, now: float) -> None: ...
        def dropped(self, connection: Connection) -> None: ...

    async def turn() -> None:
        connection = Connection(Forgetful(), asyncio.get_running_loop())
        connection.begin("GET", 1.0, 1.0, 1.0)
        waits = connection.more()
        connection.fail(Refused(Reason.UPSTREAM_TIMEOUT))
        with contextlib.suppress(Refused):
            await waits
        connection.finish(whole=True)

    assert await left_behind(turn) == 0
