import asyncio
import multiprocessing
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from gateway.kernel.store import MemoryStore, RedisAddress, RedisStore
from gateway.model.limit import LimitStatus
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.ratelimit import LocalBuckets, OnStoreFailure, SharedBuckets, SlidingWindow, TokenBucket
from gateway.stages.ratelimit.algorithm import Algorithm
from gateway.stages.ratelimit.gate import Gate, StoreGate
from gateway.testing.faults import FaultProxy
from gateway.testing.wait import until
from tests.due import due
from tests.exchange import limit_status
from tests.kernel.store.conftest import scripted
from tests.redis_server import redis_server
from tests.stages.ratelimit.gates import charge, counts, gate, limit
from tests.stages.ratelimit.requests import request, trace, user

SECRET = b"k" * 32


@asynccontextmanager
async def shared(
    url: str, *, workers: int = 1, timeout: float = 5.0
) -> AsyncGenerator[tuple[SharedBuckets, RedisStore]]:
    store = RedisStore(RedisAddress.parse(url), timeout=timeout)
    await store.start()
    try:
        yield SharedBuckets(store, LocalBuckets(MemoryStore(), lambda: store.processes or workers), SECRET), store
    finally:
        await store.close()


async def _tried(one: Gate) -> list[LimitStatus]:
    return await due(one.enter(request(), user(), trace()))


async def passed(one: Gate, tries: int) -> int:
    """How many of so many requests at once are admitted."""
    results = await asyncio.gather(*(_tried(one) for _ in range(tries)), return_exceptions=True)
    assert all(isinstance(r, list) or (isinstance(r, Refused) and r.reason is Reason.RATE_LIMITED) for r in results)
    return sum(isinstance(result, list) for result in results)


async def test_R2_of_many_requests_at_once_exactly_the_quota_passes(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with shared(server.url) as (one, _), shared(server.unix_url) as (other, _):
            for number, algorithm in enumerate((None, SlidingWindow(3, 60), TokenBucket(3, 60, 3))):
                each = [gate(keeper, limit(str(number), algorithm=algorithm)) for keeper in (one, other)]
                assert sum(await asyncio.gather(*(passed(g, 50) for g in each))) == 3


async def test_what_is_left_is_told_as_in_one_process(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with shared(server.unix_url) as (keeper, _):
            one = gate(keeper, limit("a", 2, 60), limit("b", 5, 60, key=("client_ip",)))
            assert await due(one.enter(request(), user(), trace())) == [
                limit_status("a", 2, 60, 1, 60),
                limit_status("b", 5, 60, 4, 60),
            ]
            await due(one.enter(request(), user(), trace()))
            with pytest.raises(Refused) as refused:
                await due(one.enter(request(), user(), trace()))
            assert refused.value.retry_after == 60
            assert [left for _, left, _ in refused.value.limits] == [0, 3]  # R11: b was not spent


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize("algorithm", [None, SlidingWindow(3, 600), TokenBucket(3, 600, 3)])
async def test_R2_a_limit_that_is_alone_is_judged_and_told_as_any_other(
    tmp_path: Path, algorithm: Algorithm | None, shadow: bool
) -> None:
    with redis_server(tmp_path) as server:
        async with shared(server.unix_url) as (keeper, _):
            limits = [limit(name, 3, 600, algorithm=algorithm, shadow=shadow) for name in ("quick", "plain")]
            quick, plain = gate(keeper, limits[0]), Gate(keeper, [charge(limits[1], secret=keeper.secret)])
            assert (type(quick), type(plain)) == (StoreGate, Gate)
            for _ in range(4):
                told = [await _told(one) for one in (quick, plain)]
                assert told[0] == told[1]
            assert counts(limits[0]) == counts(limits[1]) == (3, 1, 0)


async def _told(one: Gate) -> list[int]:
    """What remains after a request; the store's clock goes on meanwhile, so the time to its reset is not compared."""
    try:
        return [left for _, left, _ in await _tried(one)]
    except Refused as refused:
        return [left for _, left, _ in refused.limits]


async def test_what_is_no_answer_of_the_script_is_no_answer_where_a_limit_is_alone(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with shared(server.unix_url) as (keeper, _):
            one = limit(failing=OnStoreFailure.DENY)
            check = keeper.check([charge(one, secret=keeper.secret)])
            for reply in (None, 1, b"", b"\0" * 40, b"\0" * 56):
                assert check.taken(reply) is None
                with pytest.raises(Refused) as refused:
                    check.read(reply, [b"0" * 32], 0.0)
                assert refused.value.reason is Reason.STORE_UNAVAILABLE
            assert counts(one) == (0, 0, 5)


def _process(url: str, passes: "multiprocessing.Queue[int]", ready: Barrier) -> None:
    async def run() -> int:
        async with shared(url) as (keeper, _):
            one = gate(keeper, limit("l", 100, 3600))
            ready.wait(20)
            return await passed(one, 150)

    passes.put(asyncio.run(run()))


def test_R2_over_two_processes_exactly_the_quota_passes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with redis_server(tmp_path) as server:
        passes, ready = context.Queue(), context.Barrier(2)
        processes = [context.Process(target=_process, args=(server.url, passes, ready)) for _ in range(2)]
        for process in processes:
            process.start()
        assert passes.get(timeout=30) + passes.get(timeout=30) == 100
        for process in processes:
            process.join(10)


async def test_R5_R6_keys_are_a_prefix_a_version_and_a_tagged_digest(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server.client() as client:
        async with shared(server.unix_url) as (keeper, _):
            await due(gate(keeper, limit("a"), limit("b", key=())).enter(request(), user("alice{x}"), trace()))
            keys = [key for key in client.keys("*") if "processes" not in key]
            assert len(keys) == 2
            for key in keys:
                assert key.startswith("gateway:1:{")
                assert key.endswith("}")
                assert len(key.removeprefix("gateway:1:{")) == 33
            assert "alice" not in "".join(keys)
            assert all(client.pttl(key) > 0 for key in client.keys("*"))  # R9: nothing stays for ever


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        pytest.param(OnStoreFailure.LOCAL, 3, id="R8-local-goes-on-counting-here"),
        pytest.param(OnStoreFailure.ALLOW, 10, id="R8-allow-does-not-judge"),
    ],
)
async def test_without_its_store_a_limit_does_as_it_says(
    tmp_path: Path, failing: OnStoreFailure, expected: int
) -> None:
    async with shared(f"redis+unix://{tmp_path}/absent") as (keeper, _):
        one = limit("l", 3, failing=failing)
        assert await passed(gate(keeper, one), 10) == expected
        assert counts(one) == ((3, 7, 10) if failing is OnStoreFailure.LOCAL else (0, 0, 10))


async def test_R8_deny_refuses_with_503_and_spends_nothing_of_its_neighbours(tmp_path: Path) -> None:
    async with shared(f"redis+unix://{tmp_path}/absent") as (keeper, _):
        neighbour = limit("neighbour", 3)
        both = gate(keeper, neighbour, limit("strict", 3, failing=OnStoreFailure.DENY))
        for _ in range(5):
            with pytest.raises(Refused) as refused:
                await due(both.enter(request(), user(), trace()))
            assert refused.value.reason is Reason.STORE_UNAVAILABLE
            assert refused.value.retry_after == 1
        assert await passed(gate(keeper, neighbour), 10) == 3


async def test_R8_each_limit_of_a_request_fails_in_its_own_way(tmp_path: Path) -> None:
    async with shared(f"redis+unix://{tmp_path}/absent") as (keeper, _):
        free = limit("free", 1, failing=OnStoreFailure.ALLOW)
        both = gate(keeper, free, limit("local", 3))
        statuses = await due(both.enter(request(), user(), trace()))
        assert [policy.name for policy, _, _ in statuses] == ["local"]
        assert await passed(both, 10) == 2


async def test_R8_local_is_the_share_of_the_processes_that_the_store_last_counted(tmp_path: Path) -> None:
    with redis_server(tmp_path / "r") as server:
        async with (
            shared(server.unix_url, workers=1) as (_, first),
            shared(server.unix_url, workers=1) as (keeper, second),
        ):
            assert (first.processes, second.processes) == (1, 2)
            server.process.stop()
            await until(lambda: not second.up, what="the store to be missed")
            assert await passed(gate(keeper, limit("l", 10)), 20) == 5
    async with shared(f"redis+unix://{tmp_path}/absent", workers=5) as (keeper, _):
        assert await passed(gate(keeper, limit("l", 10)), 20) == 2


async def test_R8_a_store_that_hangs_delays_no_request_longer_than_its_timeout(tmp_path: Path) -> None:
    calls = 0

    def answer(_: list[bytes]) -> bytes | None:
        nonlocal calls
        calls += 1
        return b":1\r\n" if calls == 1 else None  # it takes the lease, and then nothing

    async with scripted(tmp_path / "s", answer) as url, shared(url, timeout=0.05) as (keeper, store):
        one, loop = gate(keeper, limit("l", 3)), asyncio.get_running_loop()
        began = loop.time()
        assert await passed(one, 20) == 3
        assert 0.04 < loop.time() - began < 0.5  # they did wait for it
        assert not store.up
        began = loop.time()
        for _ in range(20):
            assert await passed(one, 1) == 0
        assert loop.time() - began < 0.9  # nobody asks it any more: that would take a second


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda _: b"-WRONGTYPE Operation against a key\r\n", id="R8-wrong-type"),
        pytest.param(lambda _: b"-OOM command not allowed\r\n", id="R8-full"),
        pytest.param(lambda _: b"$4\r\nbits\r\n", id="R8-too-short-a-reply"),
        pytest.param(lambda _: b":1\r\n", id="R8-a-reply-of-another-kind"),
    ],
)
async def test_an_answer_that_is_none_is_a_failing_store(
    tmp_path: Path, answer: Callable[[list[bytes]], bytes]
) -> None:
    def after_the_lease(command: list[bytes]) -> bytes:
        return b":1\r\n" if b"processes" in command[3] else answer(command)

    async with scripted(tmp_path / "s", after_the_lease) as url, shared(url) as (keeper, _):
        assert await passed(gate(keeper, limit("l", 3)), 10) == 3
        with pytest.raises(Refused) as refused:
            await due(gate(keeper, limit("d", failing=OnStoreFailure.DENY)).enter(request(), user(), trace()))
        assert refused.value.reason is Reason.STORE_UNAVAILABLE


async def test_R8_a_key_that_somebody_else_wrote_harms_its_own_bucket_only(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server.client() as client:
        async with shared(server.unix_url) as (keeper, store):
            one = gate(keeper, limit("l", 3))
            await due(one.enter(request(), user(), trace()))
            [key] = [key for key in client.keys("*") if "processes" not in key]
            client.delete(key)
            client.lpush(key, "x")
            assert await passed(one, 10) == 3  # judged here
            assert store.up
            client.set(key, "not ours")
            assert await passed(one, 10) == 0  # its local budget is spent
            assert store.up


async def test_R4_R8_a_flush_forgets_what_was_spent_and_breaks_nothing(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server.client() as client:
        async with shared(server.unix_url) as (keeper, store):
            one = gate(keeper, limit("l", 3))
            assert await passed(one, 10) == 3
            client.flushall()
            client.script_flush()
            assert await passed(one, 10) == 3
            assert store.up


async def test_R8_a_replica_that_may_not_write_fails_over_to_local_and_back(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server.client() as client:
        async with shared(server.unix_url) as (keeper, store):
            one = gate(keeper, limit("l", 3))
            client.replicaof("127.0.0.1", "1")
            assert await passed(one, 10) == 3
            await until(lambda: not store.up, what="the read-only server to be noticed")
            client.replicaof("NO", "ONE")
            await until(lambda: store.up, what="the server that may write again")
            assert await passed(one, 10) == 0  # what was spent meanwhile is told to Redis


async def test_R8_a_full_server_that_evicts_nothing_fails_over_to_local_and_back(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory-policy", "noeviction") as server, server.client() as client:
        async with shared(server.unix_url) as (keeper, store):
            client.config_set("maxmemory", "1")
            assert await passed(gate(keeper, limit("l", 3)), 10) == 3
            await until(lambda: not store.up, what="the full server to be noticed")
            client.config_set("maxmemory", "0")
            await until(lambda: store.up, what="the server with room again")


async def test_in_redis_shadow_and_cost_mean_what_they_mean_here(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with shared(server.unix_url) as (keeper, _):
            tried, enforced = limit("tried", 5, 60, shadow=True), limit("enforced", 10, 60)
            both = Gate(keeper, [charge(tried, 3, secret=SECRET), charge(enforced, 4, secret=SECRET)])
            seen, told = [trace() for _ in range(3)], []
            for one in seen[:2]:
                told += await due(both.enter(request(), user(), one))
            assert [(policy.name, left) for policy, left, _ in told] == [("enforced", 6), ("enforced", 2)]
            with pytest.raises(Refused) as refused:
                await due(both.enter(request(), user(), seen[2]))
            assert [left for _, left, _ in refused.value.limits] == [2]
            assert [[shadow.name for shadow in one.shadows] for one in seen] == [[], ["tried"], ["tried"]]
            alone = trace()
            await due(Gate(keeper, [charge(tried, 2, secret=SECRET)]).enter(request(), user(), alone))
            assert alone.shadows == ()  # what was refused spent nothing of it


async def test_R8_a_limit_in_shadow_that_denies_without_its_store_refuses_nothing(tmp_path: Path) -> None:
    async with shared(f"redis+unix://{tmp_path}/absent") as (keeper, _):
        one = limit("l", 1, failing=OnStoreFailure.DENY, shadow=True)
        assert await passed(gate(keeper, one), 5) == 5
        assert counts(one) == (0, 0, 5)


async def test_R8_what_was_spent_without_the_store_is_told_to_it_once(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server.client() as client:
        async with shared(server.unix_url) as (keeper, store):
            several = [
                gate(keeper, limit("fixed", 10)),
                gate(keeper, limit("sliding", algorithm=SlidingWindow(10, 60))),
                gate(keeper, limit("bucket", algorithm=TokenBucket(10, 3600, 10))),
            ]
            assert [await passed(each, 3) for each in several] == [3, 3, 3]
            client.replicaof("127.0.0.1", "1")
            assert [await passed(each, 4) for each in several] == [4, 4, 4]  # this process alone: all ten are its share
            await until(lambda: not store.up, what="the read-only server to be noticed")
            client.replicaof("NO", "ONE")
            await until(lambda: store.up, what="the server that may write again")
            assert [await passed(each, 10) for each in several] == [3, 3, 3]  # of ten, three and four are spent


async def test_R8_a_debt_that_the_store_does_not_take_stays_owed(tmp_path: Path) -> None:
    """Else a bucket that Redis cannot read would be whole again with every request."""
    with redis_server(tmp_path) as server, server.client() as client:
        async with shared(server.unix_url) as (keeper, _):
            one = gate(keeper, limit("l", 3))
            await due(one.enter(request(), user(), trace()))
            [key] = [key for key in client.keys("*") if "processes" not in key]
            client.delete(key)
            client.lpush(key, "x")
            assert [await passed(one, 1) for _ in range(10)] == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


async def test_R8_a_store_that_answers_late_is_left_at_once_and_taken_back_when_it_is_quick(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with (
            FaultProxy(server.port) as between,
            shared(f"redis://127.0.0.1:{between.port}", timeout=0.05) as (keeper, store),
        ):
            one, loop = gate(keeper, limit("l", 1000)), asyncio.get_running_loop()
            assert await passed(one, 5) == 5
            between.delay = 1.0
            began = loop.time()
            assert await passed(one, 5) == 5
            assert loop.time() - began < 0.9  # not as long as it takes to answer
            assert not store.up
            waits = []
            for _ in range(50):
                began = loop.time()
                assert await passed(one, 1) == 1
                waits.append(loop.time() - began)
            assert sorted(waits)[45] < 0.005  # the breaker is open: nobody waits
            between.delay = 0.0
            await until(lambda: store.up, what="the store that is quick again")
            told = await due(one.enter(request(), user(), trace()))
            # The five whose answers came late were counted in Redis, and here as well: never too few.
            assert told[0][1] in (1000 - 5 - 55 - 1, 1000 - 5 - 5 - 55 - 1)
