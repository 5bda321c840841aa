from pathlib import Path

from gateway.kernel.store import RedisAddress, RedisStore
from gateway.kernel.store.lease import LEASE
from gateway.testing.wait import until
from tests.redis_server import RedisServer, redis_server


async def test_processes_with_a_lease_are_counted_until_they_give_it_back(server: RedisServer) -> None:
    first = RedisStore(RedisAddress.parse(server.unix_url), timeout=5, renewal_every=0.05)
    second = RedisStore(RedisAddress.parse(server.url), timeout=5, renewal_every=0.05)
    await first.start()
    assert first.processes == 1
    await second.start()
    assert second.processes == 2
    await until(lambda: first.processes == 2, what="the count at the next renewal")
    await second.close()
    await until(lambda: first.processes == 1, what="the count without the other")
    await first.close()
    with server.client() as client:
        assert client.zcard("gateway:1:{processes}") == 0


async def test_a_process_that_died_stops_counting_when_its_lease_is_over(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server.client() as client:
        now = client.time()[0]
        client.zadd("gateway:1:{processes}", {"died": now - LEASE - 1, "alive": now - LEASE + 20})
        store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5)
        await store.start()
        assert store.processes == 2
        assert 0 < client.ttl("gateway:1:{processes}") <= LEASE  # R9: nothing stays for ever
        await store.close()
