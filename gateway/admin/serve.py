"""Serves an admin application beside the data path, in the same event loop.

The socket is bound before anything else starts, so that a port in use is one clear line; signals stay with the owner of
the process.
"""

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

_STOP_SECONDS = 2


def bind_admin(address: str, port: int | None) -> socket.socket:
    """A listening socket: TCP with a `port`, else a Unix socket at the path `address`, for its user alone.

    Raises OSError, naming the address.
    """
    if port is not None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _bound(made, (address, port), f"{address}:{port}")
    path = Path(address)
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode) and not _answers(path):
            path.unlink()  # left by a process that is gone
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound = _bound(made, address, address)
    path.chmod(0o600)
    return bound


class AdminServer:
    """Runs `app` on a bound socket until `stop`."""

    def __init__(self, app: ASGIApp, bound: socket.socket, context: ssl.SSLContext | None = None) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        config.load()
        config.ssl = context
        self._socket = bound
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve; returns when the address answers."""
        self._task = asyncio.create_task(self._server.serve([self._socket]))
        await self._server.serving.wait()

    async def stop(self) -> None:
        """Finish what is being answered, for two seconds at most, and close the socket."""
        self._server.end()
        if self._task is not None:
            await self._task
        self._socket.close()


class _Quiet(uvicorn.Server):
    """A server that leaves the process's signals alone and says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Leave the main loop."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """One tick a second, for the Date field; uvicorn's own wakes ten times as often."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):  # noqa: TID251 - no data path; 3.11's wait_for can lose a cancellation
                    await self._ending.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(made: socket.socket, where: tuple[str, int] | str, name: str) -> socket.socket:
    try:
        made.bind(where)
        made.listen(128)
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"cannot listen on the admin address {name}: {error.strerror}") from error
    made.setblocking(False)
    return made


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0
