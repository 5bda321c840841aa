"""Slices of a limit over a real server: what is saved, what may go wrong, and by how much at most."""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from gateway.kernel.store import MemoryStore, RedisAddress, RedisStore
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.ratelimit import (
    FixedWindow,
    LeasingBuckets,
    LocalBuckets,
    OnStoreFailure,
    SlidingWindow,
    TokenBucket,
)
from gateway.stages.ratelimit.algorithm import Algorithm
from gateway.stages.ratelimit.gate import Gate
from gateway.stages.ratelimit.leased import LeasedCheck
from gateway.stages.ratelimit.leases import MOST, Leases
from gateway.testing.wait import until
from tests.due import due
from tests.exchange import limit_status
from tests.redis_server import RedisServer, redis_server
from tests.stages.ratelimit.gates import charge, gate, limit
from tests.stages.ratelimit.requests import request, trace, user

FOREVER = 3600.0  # seconds: slices are not given back by themselves
SLICE = 10


@asynccontextmanager
async def leasing(
    url: str, *, hold: float = FOREVER, timeout: float = 5.0
) -> AsyncGenerator[tuple[LeasingBuckets, RedisStore, Leases]]:
    store = RedisStore(RedisAddress.parse(url), timeout=timeout)
    await store.start()
    leases = Leases(store, hold=hold)
    try:
        yield (
            LeasingBuckets(store, LocalBuckets(MemoryStore(), lambda: store.processes or 1), b"", leases),
            store,
            leases,
        )
    finally:
        await leases.close()
        await store.close()


async def admitted(one: Gate, tries: int) -> int:
    """How many of so many requests, one after the other, are admitted."""
    passed = 0
    for _ in range(tries):
        try:
            await due(one.enter(request(), user(), trace()))
        except Refused as refused:
            if refused.reason is not Reason.RATE_LIMITED:
                raise
        else:
            passed += 1
    return passed


def calls(server: RedisServer) -> int:
    """How many scripts the server ran so far."""
    with server.client() as client:
        stats = client.info("commandstats")
    return sum(int(stats[f"cmdstat_{name}"]["calls"]) for name in ("eval", "evalsha") if f"cmdstat_{name}" in stats)


async def test_most_requests_are_admitted_without_a_round_trip(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, _):
            one, before = gate(keeper, limit("l", 1000, 3600, lease=100)), calls(server)
            assert await admitted(one, 505) == 505
            assert (
                calls(server) - before <= 10
            )  # 101 of each; the script's own text, slices that shrink, the store's lease


@pytest.mark.parametrize("algorithm", [FixedWindow(100, 3600), SlidingWindow(100, 3600), TokenBucket(100, 3600, 100)])
async def test_one_process_alone_is_admitted_all_and_no_more(tmp_path: Path, algorithm: Algorithm) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, _):
            assert await admitted(gate(keeper, limit("l", algorithm=algorithm, lease=SLICE)), 150) == 100


async def test_what_is_left_is_told_from_the_slice(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, _):
            one = gate(keeper, limit("l", 100, 60, lease=SLICE))
            told = [await due(one.enter(request(at=time.time()), user(), trace())) for _ in range(3)]
            assert told == [[limit_status("l", 100, 60, left, 60)] for left in (99, 98, 97)]


async def test_slices_shrink_as_a_bucket_empties(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, leases):
            one = gate(keeper, limit("l", 100, 3600, lease=SLICE))
            sizes = []
            for _ in range(100):
                asks = not any(held.left for held in leases.slices.values())
                await admitted(one, 1)
                if asks:
                    sizes.append(sum(held.left for held in leases.slices.values()))
            assert sizes[0] == SLICE
            assert sizes == sorted(sizes, reverse=True)
            assert sizes[-5:] == [0] * 5  # the last are asked for one by one


async def test_what_is_left_of_a_slice_goes_back_when_it_is_old(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with (
            leasing(server.unix_url, hold=0.05) as (keeper, _, leases),
            leasing(server.unix_url) as (other, _, _),
        ):
            mine, theirs = (gate(each, limit("l", 100, 3600, lease=SLICE)) for each in (keeper, other))
            assert await admitted(mine, 1) == 1
            await until(lambda: not leases.slices, what="the slice to go back")
            assert await admitted(theirs, 120) == 99


async def test_what_is_left_goes_back_at_the_end(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, _):
            assert await admitted(gate(keeper, limit("l", 100, 3600, lease=SLICE)), 5) == 5
        async with leasing(server.unix_url) as (keeper, _, _):
            assert await admitted(gate(keeper, limit("l", 100, 3600, lease=SLICE)), 120) == 95


@pytest.mark.parametrize("algorithm", [FixedWindow(100, 1), SlidingWindow(100, 1)])
async def test_what_goes_back_after_its_window_makes_no_room_in_another(tmp_path: Path, algorithm: Algorithm) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, leases), leasing(server.unix_url) as (other, _, _):
            one = gate(keeper, limit("l", algorithm=algorithm, lease=SLICE))
            assert await admitted(one, 1) == 1
            (name,) = leases.slices
            key = f"gateway:1:{{{name.decode()}}}"
            with server.client() as client:
                await until(lambda: not client.exists(key), what="the bucket to be over")
            two = gate(other, limit("l", algorithm=algorithm, lease=SLICE))
            began = time.monotonic()
            passed = await admitted(two, 100)
            await leases.close()
            passed += await admitted(two, 100)
            assert passed <= 100 or time.monotonic() - began >= 0.9  # a slow machine reached the next window


async def test_over_a_windows_end_each_process_admits_one_slice_beyond_the_limit_at_most(tmp_path: Path) -> None:
    """The bound, met exactly: slices of the window before are spent in the next, on top of all that it has."""
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (one, _, held), leasing(server.unix_url) as (two, _, _):
            gates = [gate(each, limit("l", 100, 2, lease=SLICE)) for each in (one, two)]
            assert [await admitted(each, 1) for each in gates] == [1, 1]
            (name,) = held.slices
            key = f"gateway:1:{{{name.decode()}}}"
            with server.client() as client:
                await until(lambda: not client.exists(key), what="the window to be over")
            began, passed = time.monotonic(), 0
            while time.monotonic() - began < 1.5 and passed < 300:
                for each in gates:
                    passed += await admitted(each, 1)
            assert 100 < passed <= 100 + 2 * SLICE


def _flood(
    url: str, algorithm: Algorithm, seconds: float, out: "multiprocessing.Queue[list[float]]", on: Barrier
) -> None:
    async def run() -> list[float]:
        async with leasing(url, hold=0.2) as (keeper, store, _):
            one, times = gate(keeper, limit("l", algorithm=algorithm, lease=50)), []
            on.wait(30)
            end = time.time() + seconds
            while time.time() < end:
                passed = await asyncio.gather(*(admitted(one, 5) for _ in range(4)))
                times += [time.time()] * sum(passed)
                await asyncio.sleep(0.002)
            assert store.up
            return times

    out.put(asyncio.run(run()))


def test_R2_two_processes_under_fire_admit_the_limit_and_a_slice_each_at_most(tmp_path: Path) -> None:
    context, seconds = multiprocessing.get_context("spawn"), 1.5
    rate = TokenBucket(600, 1, 600)
    with redis_server(tmp_path) as server:
        out, on = context.Queue(), context.Barrier(2)
        processes = [context.Process(target=_flood, args=(server.url, rate, seconds, out, on)) for _ in range(2)]
        for process in processes:
            process.start()
        times = sorted(out.get(timeout=60) + out.get(timeout=60))
        for process in processes:
            process.join(10)
    spread = times[-1] - times[0]
    most = rate.burst + spread * rate.quota + 2 * 50
    assert len(times) <= most + rate.quota * 0.1  # requests of one round share its time
    assert len(times) >= (rate.burst + min(spread, seconds) * rate.quota) * 0.6
    assert _most_within(times, 1.0) <= rate.burst + rate.quota + 2 * 50 + rate.quota * 0.1


def _most_within(times: Sequence[float], window: float) -> int:
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] < at - window:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize(
    ("failing", "left"),
    [
        pytest.param(OnStoreFailure.DENY, Reason.STORE_UNAVAILABLE, id="R8-deny-once-the-slice-is-spent"),
        pytest.param(OnStoreFailure.LOCAL, None, id="R8-local-once-the-slice-is-spent"),
    ],
)
async def test_a_slice_outlives_its_store(tmp_path: Path, failing: OnStoreFailure, left: Reason | None) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.url) as (keeper, store, leases):
            one = gate(keeper, limit("l", 100, 3600, failing=failing, lease=SLICE))
            assert await admitted(one, 1) == 1
            server.process.popen.kill()
            await until(lambda: not store.up, what="the store to be missed")
            assert await admitted(one, SLICE) == SLICE
            assert all(not held.left for held in leases.slices.values())
            if left is not None:
                with pytest.raises(Refused) as refused:
                    await due(one.enter(request(), user(), trace()))
                assert refused.value.reason is left
            else:
                assert await admitted(one, 150) == 100  # its share of the outage: it is alone


async def test_who_leaves_while_it_asks_loses_no_slice(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, leases):
            one = gate(keeper, limit("l", 100, 3600, lease=SLICE))
            asking = asyncio.create_task(due(one.enter(request(), user(), trace())))
            await asyncio.sleep(0)
            asking.cancel()
            await until(lambda: len(leases.slices) == 1, what="the slice")
            assert await admitted(one, 150) == 99


async def test_of_requests_at_once_one_takes_a_slice(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, leases):
            one = gate(keeper, limit("l", 100, 3600, lease=SLICE))
            passed = await asyncio.gather(*(admitted(one, 1) for _ in range(20)))
            assert sum(passed) == 20
            assert sum(held.left for held in leases.slices.values()) <= SLICE


async def test_R11_limits_that_are_judged_together_are_leased_together_or_not_at_all(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, leases):
            wide, narrow = limit("wide", 1000, 3600, lease=100), limit("narrow", 50, 3600, lease=5)
            one = gate(keeper, wide, narrow)
            assert await admitted(one, 80) == 50
            assert isinstance(one._check, LeasedCheck)
            await leases.close()
            assert await admitted(gate(keeper, wide), 1200) == 950  # what narrow refused spent nothing of wide
            mixed = gate(keeper, limit("other", 1000, 3600, lease=100), limit("asked", 5, 3600))
            assert await admitted(mixed, 10) == 5
            assert not isinstance(mixed._check, LeasedCheck)
            assert not any(held.left for held in leases.slices.values())


async def test_R9_slices_are_bounded(tmp_path: Path) -> None:
    store = RedisStore(RedisAddress.parse(f"redis+unix://{tmp_path}/absent"))
    leases = Leases(store)
    asked = [leases.ask_for(b"%d" % number, SLICE) for number in range(MOST + 3)]
    assert asked == [SLICE] * MOST + [0] * 3
    for number in range(MOST):
        leases.taken(b"%d" % number, None)
    assert leases.ask_for(b"again", SLICE) == SLICE


async def test_a_limit_that_is_only_looked_at_is_asked_for(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with leasing(server.unix_url) as (keeper, _, _):
            looked = keeper.check([charge(limit("l", 100, 60, lease=SLICE), 0)])
            assert not isinstance(looked, LeasedCheck)
