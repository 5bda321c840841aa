"""Places under limits of concurrency: in this process, and in a real Redis."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.kernel.store import MemoryStore, RedisAddress, RedisStore
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.trace import Trace
from gateway.stages.ratelimit import Concurrency, Limit, LocalBuckets, OnStoreFailure, SharedBuckets, Slots
from gateway.stages.ratelimit.gate import Gate
from gateway.testing.wait import until
from tests.due import due
from tests.exchange import limit_status
from tests.kernel.store.conftest import scripted
from tests.redis_server import RedisServer, redis_server
from tests.stages.ratelimit.gates import counts, gate, limit
from tests.stages.ratelimit.requests import request, trace, user


def at_once(quota: int, name: str = "busy", *, shadow: bool = False, failing: OnStoreFailure | None = None) -> Limit:
    return limit(name, algorithm=Concurrency(quota), shadow=shadow, failing=failing or OnStoreFailure.LOCAL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@asynccontextmanager
async def keeping(url: str, *, renewal_every: float = 10.0) -> AsyncGenerator[tuple[SharedBuckets, RedisStore, Slots]]:
    store = RedisStore(RedisAddress.parse(url), timeout=1)
    slots = Slots(store, renewal_every=renewal_every)
    await store.start()
    slots.start()
    try:
        yield SharedBuckets(store, LocalBuckets(MemoryStore(), lambda: 1, slots), b""), store, slots
    finally:
        await slots.close()
        await store.close()


async def enter(one: Gate, subject: str = "alice") -> Trace | None:
    """The trace of a request that is in; None for one that is refused."""
    inside = trace()
    try:
        await due(one.enter(request(), user(subject), inside))
    except Refused as refused:
        _refused(refused, inside)
        return None
    return inside


def _refused(refused: Refused, inside: Trace) -> None:
    assert refused.reason is Reason.RATE_LIMITED
    assert refused.retry_after is not None
    assert refused.retry_after >= 1
    assert inside.held == ()


async def test_so_many_are_in_at_once_and_one_that_ends_makes_room() -> None:
    one = gate(LocalBuckets(MemoryStore(), lambda: 1), at_once(2))
    first, second = await enter(one), await enter(one)
    assert first is not None
    assert second is not None
    assert await enter(one) is None
    assert await enter(one, "bob") is not None  # each caller has places of its own
    first.release()
    first.release()  # once is enough
    assert await enter(one) is not None
    assert await enter(one) is None


async def test_the_caller_is_told_how_many_more_may_come_and_no_time() -> None:
    one = gate(LocalBuckets(MemoryStore(), lambda: 1), at_once(3))
    assert await due(one.enter(request(), user(), trace())) == [limit_status("busy", 3, 0, 2, 0)]


async def test_R11_who_is_refused_by_a_rate_takes_no_place_and_the_other_way_round() -> None:
    busy, rate = at_once(1), limit("rate", 2, 60)
    here = LocalBuckets(MemoryStore(), lambda: 1)
    one = gate(here, busy, rate)
    inside = await enter(one)
    assert inside is not None
    assert await enter(one) is None  # by the place; the rate has one left
    inside.release()
    inside = await enter(one)
    assert inside is not None
    inside.release()
    assert await enter(one) is None  # by the rate
    assert await enter(gate(here, busy)) is not None  # no place was taken


async def test_a_place_in_shadow_refuses_nobody_and_is_told() -> None:
    busy = at_once(1, shadow=True)
    one = gate(LocalBuckets(MemoryStore(), lambda: 1), busy)
    first, second = await enter(one), await enter(one)
    assert first is not None
    assert second is not None
    assert [shadow.name for shadow in second.shadows] == ["busy"]
    first.release()
    second.release()
    third = await enter(one)
    assert third is not None
    assert third.shadows == ()
    assert counts(busy) == (2, 1, 0)


async def test_R2_over_two_replicas_exactly_so_many_are_in(server: RedisServer) -> None:
    async with keeping(server.unix_url) as (one, _, _), keeping(server.url) as (other, _, _):
        gates = [gate(keeper, at_once(5, "both")) for keeper in (one, other)]
        found = await asyncio.gather(*(enter(each) for each in gates for _ in range(20)))
        inside = [each for each in found if each is not None]
        assert len(inside) == 5
        for each in inside[:2]:
            each.release()
        await until(lambda: zcard(server) == 3, what="the places to be given back")
        again = await asyncio.gather(*(enter(each) for each in gates for _ in range(5)))
        assert sum(each is not None for each in again) == 2


async def test_R9_a_process_that_dies_loses_its_places_when_its_lease_ends(server: RedisServer) -> None:
    with server.client() as client:
        client.flushdb()
        async with keeping(server.unix_url) as (keeper, _, _):
            one = gate(keeper, at_once(1, "dies"))
            assert await enter(one) is not None
            [key] = [key for key in client.keys("*") if "processes" not in key]
            assert 0 < client.ttl(key) <= 30
            [(place, until_)] = client.zrange(key, 0, -1, withscores=True)
            assert until_ - client.time()[0] == pytest.approx(30, abs=2)
            assert await enter(one) is None
            client.zadd(key, {place: client.time()[0] - 1})  # thirty seconds later
            assert await enter(one) is not None


async def test_a_place_that_is_held_long_is_renewed_also_after_the_server_forgot_it(server: RedisServer) -> None:
    with server.client() as client:
        client.flushdb()
        async with keeping(server.unix_url, renewal_every=0.05) as (keeper, _, _):
            one = gate(keeper, at_once(1, "long"))
            inside = await enter(one)
            assert inside is not None
            [key] = [key for key in client.keys("*") if "processes" not in key]
            first = client.zrange(key, 0, -1, withscores=True)
            client.flushdb()  # as a restart without persistence
            await until(lambda: client.zcard(key) == 1, what="the place to be told again")
            assert client.zrange(key, 0, -1) == [first[0][0]]
            assert await enter(one) is None
            inside.release()
            await until(lambda: client.zcard(key) == 0, what="the place to be given back")


async def test_R8_without_its_store_a_process_counts_its_own_and_tells_them_when_it_is_back(tmp_path: Path) -> None:
    with redis_server(tmp_path / "one") as server:
        async with keeping(server.unix_url, renewal_every=0.05) as (keeper, store, slots):
            one = gate(keeper, at_once(2, "away"))
            before = await enter(one)
            assert before is not None
            server.process.stop()
            await until(lambda: not store.up, what="the store to be missed")
            during = await enter(one)
            assert during is not None
            assert await enter(one) is None  # the one from before still counts
            with redis_server(tmp_path / "one", port=server.port) as again, again.client() as client:
                await until(lambda: store.up, what="the store to be found")
                await until(lambda: zcard(again) == 2, what="both places to be told")
                assert await enter(one) is None
                before.release()
                during.release()
                await until(lambda: zcard(again) == 0, what="both to be given back")
                assert client.ping()
            assert slots.held(b"x") == 0


@pytest.mark.parametrize(
    ("failing", "expected"), [(OnStoreFailure.ALLOW, 5), (OnStoreFailure.DENY, 0)], ids=["allow", "deny"]
)
async def test_R8_a_place_fails_as_its_limit_says(tmp_path: Path, failing: OnStoreFailure, expected: int) -> None:
    async with keeping(f"redis+unix://{tmp_path}/absent") as (keeper, _, _):
        one, inside, reasons = gate(keeper, at_once(1, failing=failing)), 0, list[Reason]()
        for _ in range(5):
            try:
                await due(one.enter(request(), user(), trace()))
                inside += 1
            except Refused as refused:
                reasons.append(refused.reason)
        assert inside == expected
        assert reasons == [Reason.STORE_UNAVAILABLE] * (5 - expected)


async def test_a_client_that_leaves_while_redis_is_asked_keeps_no_place(tmp_path: Path) -> None:
    """The call may have taken one: it is given back behind it, on the same connection."""
    commands: list[list[bytes]] = []

    def answer(command: list[bytes]) -> bytes | None:
        commands.append(command)
        return b":1\r\n" if b"processes" in command[3] else None

    async with scripted(tmp_path / "s", answer) as url, keeping(url) as (keeper, _, _):
        task = asyncio.create_task(due(gate(keeper, at_once(1)).enter(request(), user(), trace())))
        await until(lambda: len(commands) == 2, what="the place to be asked for")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: len(commands) == 3, what="the place to be given back")
        assert commands[2][3:] == [commands[1][3], commands[1][-1]]  # the same key, the same id


def zcard(server: RedisServer) -> int:
    with server.client() as client:
        return sum(int(client.zcard(key)) for key in client.keys("*") if "processes" not in key)
