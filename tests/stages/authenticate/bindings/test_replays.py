"""What was used: in memory, and in a real store that two gateways share."""

from collections.abc import Generator
from pathlib import Path

import pytest

from gateway.kernel.store import RedisAddress, RedisStore
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.bindings.replays import MemoryReplays, SharedReplays
from tests.redis_server import RedisServer, redis_server

A, B, C = (letter.encode() * 32 for letter in "abc")


async def test_a_name_is_used_once_in_its_life() -> None:
    replays = MemoryReplays()
    assert await replays.first(A, 60, 1000)
    assert not await replays.first(A, 60, 1000)
    assert not await replays.first(A, 60, 1059.9)
    assert await replays.first(B, 60, 1000)
    assert await replays.first(A, 60, 1060)
    assert not await replays.first(A, 60, 1061)


async def test_what_is_over_makes_room_by_itself() -> None:
    replays = MemoryReplays()
    for n in range(100):
        assert await replays.first(b"%032d" % n, 10, 0)
    for n in range(100, 160):
        assert await replays.first(b"%032d" % n, 10, 20)
    assert len(replays) == 60


async def test_a_full_memory_forgets_nothing_and_refuses() -> None:
    replays = MemoryReplays(capacity=2)
    assert await replays.first(A, 60, 1000)
    assert await replays.first(B, 60, 1000)
    with pytest.raises(Refused) as refused:
        await replays.first(C, 60, 1001)
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert not await replays.first(A, 60, 1002)
    assert await replays.first(C, 60, 1061)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


async def test_two_gateways_with_one_store_know_what_either_has_seen(server: RedisServer, tmp_path: Path) -> None:
    stores = [RedisStore(RedisAddress.parse(server.unix_url, tmp_path)) for _ in range(2)]
    one, other = (SharedReplays(store) for store in stores)
    for store in stores:
        await store.start()
    assert await one.first(A, 60, 0)
    assert not await other.first(A, 60, 0)
    assert await other.first(B, 60, 0)
    assert not await one.first(B, 60, 0)
    assert await one.first(C, 0.001, 0)
    with server.client() as client:
        lives = {key: client.pttl(key) for key in client.scan_iter("*dpop:*")}
        assert len(lives) >= 2
        assert all(life <= 60_000 for life in lives.values())  # none stays for ever
    for store in stores:
        await store.close()


async def test_while_the_store_is_down_no_proof_is_taken(tmp_path: Path) -> None:
    store = RedisStore(RedisAddress.parse(f"redis+unix://{tmp_path}/nobody.sock", tmp_path))
    await store.start()
    with pytest.raises(Refused) as refused:
        await SharedReplays(store).first(A, 60, 0)
    assert (refused.value.reason, refused.value.retry_after) == (Reason.STORE_UNAVAILABLE, 1)
    await store.close()
