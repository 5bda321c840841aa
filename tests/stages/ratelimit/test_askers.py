"""A shared limit that is fair: what each principal is given, here and in Redis."""

import asyncio
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.kernel.store import Call, MemoryStore, RedisAddress, RedisStore
from gateway.stages.ratelimit import (
    Concurrency,
    FixedWindow,
    Keyed,
    LocalBuckets,
    OnStoreFailure,
    SharedBuckets,
    SlidingWindow,
    TokenBucket,
)
from gateway.stages.ratelimit.algorithm import Algorithm, fair_share
from gateway.stages.ratelimit.askers import LATELY, MOST, Askers, lately
from gateway.stages.ratelimit.buckets import Charge
from gateway.stages.ratelimit.script import Answer, arguments, compose
from tests.redis_server import RedisServer, redis_server
from tests.stages.ratelimit.algorithms.contract import algorithms
from tests.stages.ratelimit.gates import charge, limit
from tests.stages.ratelimit.requests import NOW

ALL, SET = b"s" * 32, b"a" * 32


def of(who: int) -> bytes:
    """The name of a principal's own bucket."""
    return b"%032d" % who


def fair(algorithm: Algorithm, cost: int = 1) -> list[Charge]:
    """A shared limit, and each principal's share of it."""
    shared, own = limit("l", algorithm=algorithm, key=()), replace(limit("l/fair", algorithm=algorithm), fair=True)
    asking = Keyed(own.identity + b"asking", (), route="r", upstream=None)
    return [charge(shared, cost), Charge(own, charge(own).keyed, cost, asking)]


class Here:
    """Requests of some principals in one process."""

    def __init__(self, algorithm: Algorithm, cost: int = 1) -> None:
        self._check = LocalBuckets(MemoryStore(), lambda: 1).check(fair(algorithm, cost))

    def readings(self, who: int, now: float) -> list[int]:
        return [room for room, *_ in self._check.judge((ALL, of(who), SET), now)]

    def admitted(self, who: int, tries: int, now: float) -> int:
        return sum(all(self.readings(who, now)) for _ in range(tries))


@pytest.mark.parametrize("algorithm", [FixedWindow(12, 60), SlidingWindow(12, 60), TokenBucket(12, 60, 12)])
def test_who_asks_alone_has_all_of_it(algorithm: Algorithm) -> None:
    assert Here(algorithm).admitted(1, 50, NOW) == 12


@pytest.mark.parametrize("algorithm", [FixedWindow(12, 60), SlidingWindow(12, 60), TokenBucket(12, 60, 12)])
def test_of_those_that_ask_each_gets_its_share_and_none_more(algorithm: Algorithm) -> None:
    here = Here(algorithm)
    taken = [0] * 4
    for _ in range(12):
        for who in range(4):
            taken[who] += here.admitted(who, 1, NOW)
    assert taken == [3, 3, 3, 3]


@pytest.mark.parametrize("algorithm", [FixedWindow(12, 60), SlidingWindow(12, 60), TokenBucket(12, 60, 12)])
def test_what_was_taken_before_the_others_came_is_made_up_within_two_windows(algorithm: Algorithm) -> None:
    here = Here(algorithm)
    assert here.admitted(1, 50, NOW) == 12
    assert here.admitted(2, 5, NOW + 1) == 0  # it is spent: nobody's share can be held back for who is not there
    late = [0, 0]
    for second in range(2, 260):
        for who in (1, 2):
            admitted = here.admitted(who, 5, NOW + second)
            late[who - 1] += admitted if second >= 120 else 0
    assert abs(late[0] - late[1]) <= 2
    assert min(late) >= 12


@pytest.mark.parametrize("burst", [1, 7, 40])
@pytest.mark.parametrize("quota", [2, 3, 9, 10])
def test_R10_a_share_is_remembered_until_it_is_full_again(quota: int, burst: int) -> None:
    whole = TokenBucket(quota, 3, burst)
    life = fair(whole)[1].limit.life
    assert all(fair_share(whole, among).life <= life for among in range(1, 60))


def test_who_asked_counts_for_a_window_at_most_a_minute() -> None:
    assert (lately(10), lately(86400), lately(0)) == (10, LATELY, LATELY)
    here = Here(FixedWindow(100, 10))
    here.admitted(2, 1, NOW)
    assert here.admitted(1, 90, NOW + 1) == 50
    assert here.admitted(1, 90, NOW + 9.9) == 0
    assert here.admitted(1, 90, NOW + 10.1) == 90  # alone again, in a new window


def test_a_share_that_is_less_than_one_is_one_and_the_shared_bucket_still_holds() -> None:
    here = Here(FixedWindow(3, 60))
    assert [here.admitted(who, 3, NOW) for who in range(6)] == [3, 0, 0, 0, 0, 0]
    here = Here(FixedWindow(3, 60))
    assert sum(here.admitted(who, 1, NOW) for who in range(6)) == 3


def test_R1_a_cost_above_the_share_passes_when_nothing_of_it_is_spent() -> None:
    here = Here(FixedWindow(12, 60), cost=5)
    assert [here.admitted(who, 1, NOW) for who in (1, 2, 1, 2)] == [1, 1, 0, 0]  # 5 and 5 of 6 and 6
    here = Here(FixedWindow(12, 60), cost=5)
    for who in (1, 2, 3):
        here.readings(who, NOW - 0.5)
    # each of three has four, and one request is five: it takes the whole share, counted as what it is
    assert here.readings(1, NOW)[1] == 0


def test_a_refusal_by_the_share_spends_nothing_of_what_is_shared() -> None:
    here = Here(FixedWindow(12, 60))
    here.admitted(2, 1, NOW)
    assert here.admitted(1, 30, NOW) == 6
    assert here.readings(3, NOW)[0] == 5


def test_R9_who_asks_is_remembered_up_to_a_bound() -> None:
    asking = Askers().of(b"l", 60, 3)
    assert [asking.count(ALL, of(who), NOW) for who in range(6)] == [1, 2, 3, 3, 3, 3]
    asking = Askers().of(b"l", 60, 10**9)
    assert max(asking.count(ALL, of(who), NOW) for who in range(MOST + 5)) == MOST


def test_the_sets_outlive_a_snapshot() -> None:
    askers = Askers()
    before = askers.of(b"l", 60, 9)
    before.count(ALL, of(1), NOW)
    after = askers.of(b"l", 60, 12)
    del before
    assert after.count(ALL, of(2), NOW) == 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


steps = st.lists(st.tuples(st.integers(1, 4), st.floats(0, 40)), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(algorithm=algorithms, cost=st.integers(1, 3), asked=steps)
def test_R3_redis_shares_as_python_does(
    server: RedisServer, algorithm: Algorithm, cost: int, asked: list[tuple[int, float]]
) -> None:
    script, charges = compose("local now = tonumber(ARGV[#ARGV])"), fair(algorithm, cost)

    async def run() -> None:
        store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5)
        await store.start()
        here, answer, now = Here(algorithm, cost), Answer(2), NOW
        for who, pause in asked:
            now += round(pause * 16) / 16
            told = [*arguments(charges), b"%.10f" % now]
            call = Call(script, prefix=store.prefix, keys=3, length=32, arguments=told)
            reply = await store.run(call, (ALL, of(who), SET))
            assert isinstance(reply, bytes)
            (shared, _, _), (own, _, among) = answer.read(reply)[1]
            # a room that does not admit is 0 in a reading
            share = max(1, algorithm.burst // among)
            needs = min(cost, algorithm.burst), min(cost, algorithm.burst, share)
            rooms = [room if room >= need else 0 for room, need in zip((shared, own), needs, strict=True)]
            assert here.readings(who, now) == rooms
        await store.close()

    with server.client() as client:
        client.flushdb()
    asyncio.run(run())


async def test_R9_the_set_has_an_end_and_a_bound_in_redis(server: RedisServer) -> None:
    store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5)
    await store.start()
    with server.client() as client:
        client.flushdb()
        call = Call(
            compose(), prefix=store.prefix, keys=3, length=32, arguments=arguments(fair(SlidingWindow(3, 3600)))
        )
        for who in range(8):
            await store.run(call, (ALL, of(who), SET))
        key = "gateway:1:{" + SET.decode() + "}"
        assert client.zcard(key) == 3
        assert 0 < client.ttl(key) <= LATELY
    await store.close()


async def test_places_are_shared_like_requests(server: RedisServer) -> None:
    store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5)
    await store.start()
    with server.client() as client:
        client.flushdb()
    charges, passed = fair(Concurrency(6)), []
    for number, who in enumerate((2, 1, 1, 1, 1, 2, 2, 3)):
        told = [*arguments(charges), b"%016d" % number]
        call = Call(compose(), prefix=store.prefix, keys=3, length=32, arguments=told)
        reply = await store.run(call, (ALL, of(who), SET))
        assert isinstance(reply, bytes)
        passed.append(all(room for room, *_ in Answer(2).read(reply)[1]))
    assert passed == [True, True, True, True, False, True, True, False]  # three each; then none is left for a third
    await store.close()


async def test_R8_without_its_store_a_fair_limit_shares_what_this_process_may_admit(tmp_path: Path) -> None:
    store = RedisStore(RedisAddress.parse(f"redis+unix://{tmp_path}/absent"), timeout=5)
    keeper = SharedBuckets(store, LocalBuckets(MemoryStore(), lambda: 2), b"")
    unjudged = charge(limit("a", 1, failing=OnStoreFailure.ALLOW))
    check = keeper.check([unjudged, *fair(FixedWindow(24, 60))])
    taken = [0, 0]
    for _ in range(12):
        for who in range(2):
            readings = check.judge((b"u" * 32, ALL, of(who), SET), NOW)
            assert readings is not None
            assert readings[0] is None
            taken[who] += all(reading is None or reading[0] for reading in readings)
    assert taken == [6, 6]  # twelve of this process, for two


async def test_a_debt_of_a_fair_limit_is_told_to_both_of_its_buckets(server: RedisServer) -> None:
    with server.client() as client:
        client.flushdb()
        store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5)
        keeper = SharedBuckets(store, LocalBuckets(MemoryStore(), lambda: 1), b"")
        check, now = keeper.check(fair(FixedWindow(12, 3600))), time.time()
        names = ALL, of(1), SET
        for _ in range(5):
            assert check.judge(names, now) is not None  # the store is not there yet
        await store.start()
        readings = await check.ask(names, now)
        assert [reading[0] for reading in readings if reading is not None] == [7, 12]  # alone: all of it is its share
        other = await check.ask((ALL, of(2), SET), now)
        assert [reading[0] for reading in other if reading is not None] == [6, 6]
        again = await check.ask(names, now)
        assert [reading[0] for reading in again if reading is not None] == [5, 0]  # six of its six are spent
        await store.close()
