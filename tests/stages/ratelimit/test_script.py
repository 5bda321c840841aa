"""What Redis decides is what Python decides."""

import asyncio
import math
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, given, settings

from gateway.kernel.store import Call, RedisAddress, RedisStore
from gateway.stages.ratelimit import FixedWindow, SlidingWindow, TokenBucket
from gateway.stages.ratelimit.algorithm import Algorithm
from gateway.stages.ratelimit.script import Answer, arguments, compose
from tests.redis_server import RedisServer, redis_server
from tests.stages.ratelimit.algorithms.contract import Bucket, algorithms, pauses
from tests.stages.ratelimit.gates import charge, limit
from tests.stages.ratelimit.requests import NOW


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(algorithm=algorithms, steps=pauses)
def test_R3_redis_decides_as_python_does(server: RedisServer, algorithm: Algorithm, steps: list[float]) -> None:
    """The same script but for its clock, which here is the last argument; times are such that their text is exact."""
    script = compose("local now = tonumber(ARGV[#ARGV])")
    times = [NOW]
    for pause in steps:
        times.append(times[-1] + round(pause * 1024) / 1024)

    async def run() -> None:
        store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5)
        await store.start()
        bucket, answer = Bucket(algorithm), Answer(1)
        name = b"%032x" % abs(hash((algorithm, *times)))
        for now in times:
            told = [*arguments([charge(limit(algorithm=algorithm))]), b"%.10f" % now]
            call = Call(script, prefix=store.prefix, keys=1, length=32, arguments=told)
            reply = await store.run(call, (name,))
            assert isinstance(reply, bytes)
            seen, found = answer.read(reply)
            assert seen == now
            assert [(state, room) for room, state, _ in found] == [algorithm.look(bucket.state, now)]
            bucket.hit(now)
        await store.close()

    with server.client() as client:
        client.flushdb()
    asyncio.run(run())


def test_R9_every_key_has_an_end(server: RedisServer) -> None:
    async def run(algorithm: Algorithm) -> None:
        store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5)
        await store.start()
        call = Call(
            compose(), prefix=store.prefix, keys=1, length=32, arguments=arguments([charge(limit(algorithm=algorithm))])
        )
        await store.run(call, (b"e" * 32,))
        await store.close()

    with server.client() as client:
        for algorithm in (FixedWindow(5, 10), SlidingWindow(5, 10), TokenBucket(5, 10, 20)):
            client.flushdb()
            asyncio.run(run(algorithm))
            assert client.keys() == ["gateway:1:{" + "e" * 32 + "}"]
            assert 0 < client.pttl(client.keys()[0]) <= math.ceil(algorithm.life * 1000)


def test_R2_what_only_looks_writes_nothing(server: RedisServer) -> None:
    async def run() -> object:
        store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5)
        await store.start()
        call = Call(
            compose(),
            prefix=store.prefix,
            keys=1,
            length=32,
            arguments=arguments([charge(limit(quota=5, window=10), 0)]),
        )
        reply = await store.run(call, (b"f" * 32,))
        await store.close()
        return reply

    with server.client() as client:
        client.flushdb()
        assert isinstance(asyncio.run(run()), bytes)
        assert client.keys() == []
