"""A real cluster of three masters, of which one has a replica."""

import asyncio
from binascii import crc_hqx
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.kernel.store import Call, RedisAddress, RedisCluster, Script, StoreUnavailable
from gateway.kernel.store.cluster import SLOTS, slot_of
from gateway.testing.wait import until
from tests.kernel.store.conftest import scripted
from tests.redis_topologies import SLICES, Cluster, clustered

WRITE = Call(Script("return redis.call('INCR', KEYS[1])"), prefix=b"gateway:", keys=1, length=2, arguments=[])
BOTH = Call(
    Script("return redis.call('INCR', KEYS[1]) + redis.call('INCR', KEYS[2])"),
    prefix=b"gateway:", keys=2, length=5, arguments=[],
)  # fmt: skip


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    with clustered(tmp_path_factory.mktemp("cluster"), password="pw") as running:
        yield running


@asynccontextmanager
async def started(
    url: str, *, timeout: float = 0.5, on_state: Callable[[bool], None] = lambda _: None
) -> AsyncGenerator[RedisCluster]:
    store = RedisCluster(RedisAddress.parse(url), timeout=timeout, renewal_every=0.2, on_state=on_state)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def name_in(number: int, taken: int = 0) -> bytes:
    """A name of two letters that the master of this number holds."""
    first, last = SLICES[number]
    names = [bytes((a, b)) for a in range(97, 123) for b in range(97, 123)]
    return [name for name in names if first <= slot_of(name) <= last][taken]


def test_slots_are_those_of_the_specification() -> None:
    assert crc_hqx(b"123456789", 0) == 0x31C3  # the check value that it gives
    assert slot_of(b"foo") == 12182
    assert slot_of(b"foo}bar") == slot_of(b"foo")


async def test_calls_go_to_the_master_that_holds_their_slot(nodes: Cluster) -> None:
    async with started(nodes.url(":pw@")) as store:
        assert store.up
        assert store.processes == 1
        for number, master in enumerate(nodes.masters):
            name = name_in(number)
            assert await store.run(WRITE, (name,)) == 1
            with master.client() as client:
                assert client.get(f"gateway:{{{name.decode()}}}") == "1"
        assert await store.run(BOTH, (b"aa}01", b"aa}02")) == 2  # one tag, one slot, one call


async def test_one_seed_that_answers_is_enough(nodes: Cluster) -> None:
    async with started(f"redis+cluster://:pw@127.0.0.1:1,127.0.0.1:{nodes.masters[2].port}") as store:
        assert await store.run(WRITE, (name_in(0, 1),)) == 1


async def test_R12_without_its_password_a_cluster_is_down(nodes: Cluster) -> None:
    async with started(nodes.url()) as store:
        assert not store.up
        assert "NOAUTH" in store.trouble
        with pytest.raises(StoreUnavailable):
            store.run(WRITE, (b"aa",))


async def test_R12_a_user_with_few_rights_is_enough_for_a_cluster(nodes: Cluster) -> None:
    rights = ["on", ">gw", "resetkeys", "~gateway:*", "-@all", "+eval", "+evalsha", "+time", "+get", "+set", "+incr"]
    rights += ["+zadd", "+zrem", "+zremrangebyscore", "+zcard", "+expire", "+cluster|slots", "+ping", "+asking"]
    for node in nodes.masters:
        with node.client() as client:
            client.execute_command("ACL", "SETUSER", "gw", *rights)
    async with started(nodes.url("gw:gw@")) as store:
        assert store.trouble == ""
        assert await store.run(WRITE, (name_in(1, 4),)) == 1


async def test_a_slot_that_moved_is_followed_without_a_call_lost(nodes: Cluster) -> None:
    name = name_in(0, 2)
    async with started(nodes.url(":pw@")) as store:
        assert await store.run(WRITE, (name,)) == 1
        with nodes.masters[0].client() as client:
            client.delete(f"gateway:{{{name.decode()}}}")
        nodes.move(slot_of(name), nodes.masters[0], nodes.masters[1])
        assert await asyncio.gather(*(store.run(WRITE, (name,)) for _ in range(20))) == list(range(1, 21))
        assert store.up
        with nodes.masters[1].client() as client:
            assert client.get(f"gateway:{{{name.decode()}}}") == "20"
            client.delete(f"gateway:{{{name.decode()}}}")
        nodes.move(slot_of(name), nodes.masters[1], nodes.masters[0])
        assert await store.run(WRITE, (name,)) == 1


async def test_a_slot_on_the_way_is_asked_for_where_it_goes(nodes: Cluster) -> None:
    name = name_in(0, 3)
    slot, source, target = slot_of(name), nodes.masters[0], nodes.masters[1]
    async with started(nodes.url(":pw@")) as store:
        with source.client() as here, target.client() as there:
            there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", here.execute_command("CLUSTER MYID"))
            here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", there.execute_command("CLUSTER MYID"))
            try:
                assert await asyncio.gather(*(store.run(WRITE, (name,)) for _ in range(10))) == list(range(1, 11))
                assert there.execute_command("CLUSTER COUNTKEYSINSLOT", slot) == 1
            finally:
                nodes.move(slot, source, target)
        assert await store.run(WRITE, (name,)) == 11
    with target.client() as there:
        there.delete(f"gateway:{{{name.decode()}}}")
    nodes.move(slot, target, source)


async def test_R8_a_master_that_is_killed_fails_its_own_slots_at_once_until_its_replica_took_over(
    tmp_path: Path,
) -> None:
    states: list[bool] = []
    with clustered(tmp_path) as nodes:
        async with started(nodes.url(), timeout=0.05, on_state=states.append) as store:
            dead, alive = name_in(0), name_in(1)
            assert [await store.run(WRITE, (name,)) for name in (dead, alive)] == [1, 1]
            await until(lambda: _copied(nodes, dead), what="the write to be with the replica")
            nodes.masters[0].process.popen.kill()
            loop, expected, waits, began = asyncio.get_running_loop(), 1, [0.0], asyncio.get_running_loop().time()
            while True:
                asked = loop.time()
                try:
                    assert await store.run(WRITE, (dead,)) == 2  # nothing was forgotten
                    break
                except StoreUnavailable:
                    waits.append(loop.time() - asked)
                    assert loop.time() - began < 20
                with suppress(StoreUnavailable):  # the cluster itself stops serving for a moment while it votes
                    assert await store.run(WRITE, (alive,)) == expected + 1
                    expected += 1
                await asyncio.sleep(0.01)
            assert sorted(waits)[-2] < 0.2  # one may have met a moment in which the machine stood still
            assert expected > 10
            await until(lambda: store.trouble == "", what="the store to be whole")
    assert states[:2] == [False, True]
    assert False in states[2:]
    assert states[-1] is True


def _copied(nodes: Cluster, name: bytes) -> bool:
    with nodes.replica.client() as client:
        client.execute_command("READONLY")
        return bool(client.get(f"gateway:{{{name.decode()}}}") == "1")


async def test_R8_nodes_that_send_a_call_in_circles_cost_its_time_and_no_more(tmp_path: Path) -> None:
    """A made-up node that claims every slot, and says of each call that it belongs to itself."""
    slots = b"*1\r\n*3\r\n:0\r\n:%d\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n"
    calls: list[bytes] = []
    port = 0

    def answer(command: list[bytes]) -> bytes:
        if command[0] == b"CLUSTER":
            return slots % (SLOTS - 1, port)
        if command[0] == b"PING":
            return b"+PONG\r\n"
        if b"processes" in b"".join(command):
            return b":1\r\n"
        calls.append(command[0])
        return b"-MOVED 7 127.0.0.1:%d\r\n" % port

    async with scripted(None, answer) as url:
        port = int(url.rpartition(":")[2])
        async with started(f"redis+cluster://127.0.0.1:{port}") as store:
            assert store.up
            with pytest.raises(StoreUnavailable, match="in circles"):
                await store.run(WRITE, (b"aa",))
            assert len(calls) <= 6
