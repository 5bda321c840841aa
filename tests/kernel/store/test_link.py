"""The master that sentinels name, and what becomes of the store when it changes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager

import pytest
import redis

from gateway.kernel.store import Call, RedisAddress, RedisStore, Script, StoreUnavailable, open_store
from gateway.kernel.store.link import find_master
from gateway.testing.process import free_port
from gateway.testing.wait import until
from tests.redis_topologies import Guarded, guarded

WRITE = Call(Script("return redis.call('INCR', KEYS[1])"), prefix=b"gateway:", keys=1, length=2, arguments=[])


@pytest.fixture(scope="module")
def guards(tmp_path_factory: pytest.TempPathFactory) -> Generator[Guarded]:
    with guarded(tmp_path_factory.mktemp("sentinel"), password="pw") as running:
        yield running


@asynccontextmanager
async def started(
    url: str, *, timeout: float = 0.5, on_state: Callable[[bool], None] = lambda _: None
) -> AsyncGenerator[RedisStore]:
    store = RedisStore(RedisAddress.parse(url), timeout=timeout, renewal_every=0.2, on_state=on_state)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def test_the_first_sentinel_that_answers_is_asked(guards: Guarded) -> None:
    dead = free_port()
    address = RedisAddress.parse(f"redis+sentinel://127.0.0.1:{dead},127.0.0.1:{guards.sentinels[0]}/limits")
    assert await find_master(address) == ("127.0.0.1", guards.master.port)


@pytest.mark.parametrize(
    ("hosts", "master", "says"),
    [
        pytest.param("127.0.0.1:1", "limits", "no sentinel answers", id="none"),
        pytest.param(None, "others", "the sentinels know no master 'others'", id="unknown-master"),
    ],
)
async def test_R8_without_a_master_the_store_is_down_and_says_why(
    guards: Guarded, hosts: str | None, master: str, says: str
) -> None:
    url = f"redis+sentinel://:pw@{hosts or f'127.0.0.1:{guards.sentinels[0]}'}/{master}"
    async with started(url) as store:
        assert not store.up
        assert store.trouble == says
        with pytest.raises(StoreUnavailable):
            store.run(WRITE, (b"aa",))


async def test_R12_the_password_is_the_servers_and_a_wrong_one_is_no_store(guards: Guarded) -> None:
    async with started(guards.url(":wrong@")) as store:
        assert not store.up
        assert "WRONGPASS" in store.trouble
        assert "wrong@" not in f"{store!r} {store.trouble}"


async def test_R8_a_master_that_is_cut_off_and_does_not_know_it_is_left(guards: Guarded) -> None:
    """A failover by hand: the old master still takes writes when the sentinels already name another."""
    async with started(guards.url(":pw@")) as store:
        assert await store.run(WRITE, (b"bb",)) == 1
        old = await find_master(store.address)
        await asyncio.to_thread(_failover, guards)
        await until(lambda: store.up and store.node not in (None, old), what="the new master to be taken")
        assert await store.run(WRITE, (b"bb",)) >= 1  # type: ignore[operator]


def _failover(guards: Guarded) -> None:
    with redis.Redis(port=guards.sentinels[0], decode_responses=True) as client:
        client.execute_command("SENTINEL FAILOVER", "limits")


def test_the_store_of_an_address_is_a_cluster_only_where_it_says_so() -> None:
    def kind(url: str) -> str:
        return type(open_store(RedisAddress.parse(url), lambda _: None)).__name__

    assert kind("redis://r") == kind("redis+sentinel://r/m") == "RedisStore"
    assert kind("redis+cluster://r") == "RedisCluster"
