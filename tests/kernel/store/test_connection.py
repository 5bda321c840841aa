import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.kernel.store import Call, Script, StoreUnavailable
from gateway.kernel.store.connection import RedisConnection
from gateway.testing.wait import until
from tests.kernel.store.conftest import scripted
from tests.redis_server import RedisServer

ECHO = Call(Script("return KEYS[1] .. ARGV[1]"), prefix=b"t:", keys=1, length=2, arguments=[b"!"])


async def connect(url: str, *, timeout: float = 5.0) -> tuple[RedisConnection, list[StoreUnavailable]]:
    loop, lost = asyncio.get_running_loop(), list[StoreUnavailable]()
    path = url.removeprefix("redis+unix://")
    connection = (await loop.create_unix_connection(lambda: RedisConnection(loop, timeout, lost.append), path))[1]
    return connection, lost


async def test_replies_find_their_calls_and_one_tick_is_one_write(tmp_path: Path) -> None:
    ticks: list[int] = []

    def answer(command: list[bytes]) -> bytes:
        ticks.append(int(command[3][3:5]))
        return b"+%b\r\n" % command[3]

    async with scripted(tmp_path / "s", answer) as url:
        connection, _ = await connect(url)
        replies = await asyncio.gather(*(connection.call(ECHO, (b"%02d" % n,)) for n in range(50)))
        connection.close()
    assert replies == [b"t:{%02d}" % n for n in range(50)]
    assert ticks == list(range(50))


async def test_R4_a_server_that_lost_the_script_gets_it_again_and_the_call_succeeds(server: RedisServer) -> None:
    connection, lost = await connect(server.unix_url)
    with server.client() as client:
        for _ in range(2):
            client.script_flush()
            replies = await asyncio.gather(*(connection.call(ECHO, (b"%02d" % n,)) for n in range(20)))
            assert replies == [b"t:{%02d}!" % n for n in range(20)]
        before = client.info("commandstats")["cmdstat_eval"]["calls"]
        await connection.call(ECHO, (b"aa",))
        assert client.info("commandstats")["cmdstat_eval"]["calls"] == before  # known again: by its hash alone
    connection.close()
    assert not lost


async def test_R8_a_server_that_hangs_costs_one_timeout_and_the_connection(tmp_path: Path) -> None:
    async with scripted(tmp_path / "s", lambda _: None) as url:
        connection, lost = await connect(url, timeout=0.05)
        began = time.monotonic()
        results = await asyncio.gather(*(connection.call(ECHO, (b"aa",)) for _ in range(10)), return_exceptions=True)
        took = time.monotonic() - began
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert "within 50 ms" in str(results[0])
    assert 0.04 < took < 1.0
    assert len(lost) == 1
    with pytest.raises(StoreUnavailable):
        await connection.command(b"PING")


async def test_a_busy_loop_is_no_hung_server(server: RedisServer) -> None:
    connection, lost = await connect(server.unix_url, timeout=0.02)
    future = connection.call(ECHO, (b"aa",))
    await asyncio.sleep(0)  # let it be written
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 - this is the point: everything stands still while the reply arrives
    assert await future == b"t:{aa}!"
    connection.close()
    assert not lost


async def test_a_call_that_nobody_waits_for_any_more_does_not_shift_the_others(server: RedisServer) -> None:
    connection, _ = await connect(server.unix_url)
    first, second = connection.call(ECHO, (b"aa",)), connection.call(ECHO, (b"bb",))
    first.cancel()
    assert await second == b"t:{bb}!"
    connection.close()


@pytest.mark.parametrize(
    ("reply", "sick"),
    [
        pytest.param(b"-LOADING Redis is loading the dataset in memory\r\n", True, id="R8-loading"),
        pytest.param(b"-OOM command not allowed when used memory > 'maxmemory'\r\n", True, id="R8-oom"),
        pytest.param(b"-READONLY You can't write against a read only replica\r\n", True, id="R8-read-only"),
        pytest.param(b"-WRONGTYPE Operation against a key\r\n", False, id="R8-wrong-type"),
    ],
)
async def test_an_error_reply_fails_its_call_and_a_sick_server_loses_the_connection(
    tmp_path: Path, reply: bytes, sick: bool
) -> None:
    async with scripted(tmp_path / "s", lambda command: reply if b"{aa}" in command[3] else b"+ok\r\n") as url:
        connection, lost = await connect(url)
        good, bad = connection.call(ECHO, (b"bb",)), connection.call(ECHO, (b"aa",))
        assert await good == b"ok"
        with pytest.raises(StoreUnavailable):
            await bad
        assert bool(lost) is sick
        connection.close()


@pytest.mark.parametrize("answer", [lambda _: b"HTTP/1.1 400 Bad Request\r\n", lambda _: b"+ok\r\n+too many\r\n"])
async def test_what_does_not_speak_the_protocol_is_left(tmp_path: Path, answer: Callable[[list[bytes]], bytes]) -> None:
    async with scripted(tmp_path / "s", answer) as url:
        connection, lost = await connect(url)
        await asyncio.gather(connection.command(b"PING"), return_exceptions=True)
        await until(lambda: lost, what="the connection to be given up")
    assert str(lost[0]) == "what answers is not Redis"
