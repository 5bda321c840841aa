"""Small ASGI applications on real sockets: on the running loop, or on a loop of their own in a thread.

Rule: the socket is bound before the application is made, so that it can know its own URL.
Invariant: signals stay whose they were, and leaving the context leaves no socket and no task behind.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import uvicorn
from starlette.types import ASGIApp

from gateway.testing.wait import until

T = TypeVar("T")


class _Server(uvicorn.Server):
    """uvicorn's own server, but for its signals, and for its looking at the clock ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def main_loop(self) -> None:
        await self.told.wait()


@contextlib.asynccontextmanager
async def serving(
    make: Callable[[str], ASGIApp], *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[str]:
    """Serve `make(url)` on the running loop; yields the URL. Raises OSError when the port is taken."""
    bound = socket.create_server((host, port))
    scheme = "https" if tls else "http"
    url = f"{scheme}://{host}:{bound.getsockname()[1]}"
    config = uvicorn.Config(
        make(url),
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ssl_context_factory=(lambda *_: tls) if tls else None,
        workers=1,
    )
    server = _Server(config)
    task = asyncio.get_running_loop().create_task(server.serve([bound]))
    try:
        await until(lambda: server.started or task.done(), what=f"{url} to answer")
        yield url
    finally:
        server.force_exit = True  # no waiting for connections that are kept alive
        server.told.set()
        await task
        bound.close()


@contextlib.contextmanager
def in_thread(make: Callable[[], AbstractAsyncContextManager[T]]) -> Generator[T]:
    """Enter an async context on a loop in a thread of its own, for callers that have no loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="gateway-testing", daemon=True)
    thread.start()
    try:
        manager = make()
        value = asyncio.run_coroutine_threadsafe(_enter(manager), loop).result()
        try:
            yield value
        finally:
            asyncio.run_coroutine_threadsafe(_leave(manager), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _enter(manager: AbstractAsyncContextManager[T]) -> T:
    return await manager.__aenter__()


async def _leave(manager: AbstractAsyncContextManager[T]) -> None:
    await manager.__aexit__(None, None, None)
