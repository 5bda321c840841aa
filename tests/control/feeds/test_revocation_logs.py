"""What workers and replicas share of revocations, in a file and in a real Redis server."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from gateway.control.feeds import revocation_logs
from gateway.control.feeds.revocation_logs import FileLog, RedisLog, RevocationLog
from gateway.kernel.store import RedisAddress, RedisStore, StoreUnavailable
from gateway.stages.authenticate.revoked import Revocation, RevokedTokens
from gateway.testing.clock import Clock
from gateway.testing.wait import until
from tests.redis_server import RedisServer, redis_server

NOW = 1_800_000_000.0
CLOCK = Clock(NOW)


def revocation(number: int, until: float = NOW + 3600) -> Revocation:
    return Revocation(number.to_bytes(16), NOW + number / 8, until)


def event(number: int) -> str:
    return f"{number:032x}"


@contextlib.asynccontextmanager
async def store(server: RedisServer) -> AsyncGenerator[RedisStore]:
    made = RedisStore(RedisAddress.parse(server.unix_url))
    await made.start()
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def logs(kind: str, folder: Path) -> AsyncGenerator[Callable[[], RevocationLog]]:
    """Makes logs of one gateway, each as another process has it."""
    if kind == "file":
        yield lambda: FileLog(folder / "state", CLOCK)
        return
    with redis_server(folder) as server:
        async with store(server) as first:
            yield lambda: RedisLog(first, RevokedTokens())


both = pytest.mark.parametrize("kind", ["file", "redis"])


@both
async def test_what_one_writes_the_others_read_once_in_order(kind: str, tmp_path: Path) -> None:
    async with logs(kind, tmp_path) as make:
        one, other = make(), make()
        assert await one.read() == []
        assert await one.append([revocation(1), revocation(2)], event(1), 60, NOW)
        assert await other.read() == [revocation(1), revocation(2)]
        assert await other.append([revocation(3)], event(2), 60, NOW)
        assert await other.read() == [revocation(3)]
        assert await one.read() == [revocation(1), revocation(2), revocation(3)]
        assert await one.read() == await other.read() == []
        assert await make().read() == [revocation(1), revocation(2), revocation(3)]  # after a restart


@both
async def test_an_event_counts_once_over_all(kind: str, tmp_path: Path) -> None:
    async with logs(kind, tmp_path) as make:
        one, other = make(), make()
        assert await one.append([revocation(1)], event(1), 60, NOW)
        assert not await other.append([revocation(1)], event(1), 60, NOW)
        assert not await one.append([revocation(1)], event(1), 60, NOW)
        assert await make().read() == [revocation(1)]
        assert await one.append([], event(2), 60, NOW)  # an event that ends nothing is taken once too
        assert not await other.append([], event(2), 60, NOW)


@both
async def test_many_entries_are_all_read(kind: str, tmp_path: Path) -> None:
    async with logs(kind, tmp_path) as make:
        many = [revocation(number) for number in range(1, 1203)]
        assert await make().append(many, event(1), 60, NOW)
        assert await make().read() == many


# --- the file


async def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    one, other = FileLog(tmp_path, CLOCK), FileLog(tmp_path, CLOCK)
    await one.append([revocation(1)], event(1), 60, NOW)
    with one.path.open("ab") as file:
        file.write(b'{"mark": "00')
    assert await other.read() == [revocation(1)]
    assert await other.append([revocation(2)], event(2), 60, NOW)
    assert await other.read() == [revocation(2)]
    assert await FileLog(tmp_path, CLOCK).read() == [revocation(1), revocation(2)]


async def test_a_file_is_its_owners_alone_and_names_nobody(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "state", CLOCK)
    await log.append([revocation(1)], event(1), 60, NOW)
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700
    assert log.path.read_text().count("\n") == 2


async def test_what_is_over_is_not_read_and_goes_when_the_file_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation_logs, "_COMPACT", 500)
    log, other = FileLog(tmp_path, CLOCK), FileLog(tmp_path, CLOCK)
    over = [revocation(number, until=NOW - 1) for number in range(1, 9)]
    await log.append([*over, revocation(9)], event(1), 60, NOW)
    assert await other.read() == [revocation(9)]
    size = log.path.stat().st_size
    assert await log.append([revocation(10)], event(2), 60, NOW)
    assert log.path.stat().st_size < size
    assert revocation(10) in await other.read()  # a file that was written anew is read anew
    assert await FileLog(tmp_path, CLOCK).read() == [revocation(9), revocation(10)]
    assert not await other.append([], event(1), 60, NOW)  # and its events are still known


async def test_two_processes_that_take_one_event_agree_on_who_was_first(tmp_path: Path) -> None:
    async def take(number: int) -> bool:
        log = FileLog(tmp_path, CLOCK)
        return await asyncio.to_thread(lambda: asyncio.run(log.append([revocation(number)], event(1), 60, NOW)))

    assert sorted(await asyncio.gather(*map(take, range(1, 9)))) == [False] * 7 + [True]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="denied"):
        await FileLog(tmp_path / "state", CLOCK).append([revocation(1)], event(1), 60, NOW)


# --- Redis


async def test_a_store_that_has_lost_its_list_is_told_again(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with store(server) as held:
            known = RevokedTokens()
            log = RedisLog(held, known)
            await log.append([revocation(1)], event(1), 60, NOW)
            known.take(await log.read())
            with server.client() as client:
                client.flushall()
            assert await log.read() == []
            assert await RedisLog(held, RevokedTokens()).read() == [revocation(1)]
            assert await log.read() == [revocation(1)]  # nothing is lost to who was there either


async def test_a_list_that_began_anew_with_lower_ids_is_read_anew(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with store(server) as held:
            log = RedisLog(held, RevokedTokens())
            await log.append([revocation(1)], event(1), 60, NOW)
            await log.read()
            with server.client() as client:
                (key,) = client.keys("*{revocations}")
                client.delete(key)
                client.xadd(key, {"r": f"{revocation(2).mark.hex()} {revocation(2).before} {NOW + 3600}"}, id="1-1")
            assert await log.read() == [revocation(2)]


async def test_keys_expire_with_what_they_hold(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with store(server) as held:
            await RedisLog(held, RevokedTokens()).append([revocation(1)], event(1), 60, NOW)
            with server.client() as client:
                lives = {key: client.ttl(key) for key in client.keys("*{revocations}*")}
            assert sorted(lives.values()) == [60, int(revocation_logs.KEEP)]


async def test_a_store_that_is_down_says_so_and_is_read_on_when_it_is_back(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        made = RedisStore(RedisAddress.parse(server.unix_url))
        log = RedisLog(made, RevokedTokens())
        with pytest.raises(StoreUnavailable):
            await log.read()
        await made.start()
        assert await log.append([revocation(1)], event(1), 60, NOW)
        assert await log.read() == [revocation(1)]
        with server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: not made.up, what="the loss of the connection")
        with pytest.raises(StoreUnavailable):
            await log.append([revocation(2)], event(2), 60, NOW)
        await until(lambda: made.up, what="the store")
        assert await log.append([revocation(2)], event(2), 60, NOW)
        assert await log.read() == [revocation(2)]
        await made.close()
