"""What breaks, and how it is mended. Each is a context: broken inside, mended when it is left.

Disk full is RLIMIT_FSIZE, set from outside on the running workers: their next write of an audit record fails with
EFBIG, as one on a full disk with ENOSPC, and no root is needed. The clock is the gateway's own view of it (world.py).
"""

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from gateway.testing.faults import FaultProxy
from gateway.testing.wait import until
from loadtest.chaos.world import Part, World

Fault: TypeAlias = Callable[[World], AbstractAsyncContextManager[None]]
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@contextlib.asynccontextmanager
async def _killed(part: Part) -> AsyncGenerator[None]:
    await part.kill()
    yield
    await part.start()


@contextlib.asynccontextmanager
async def _paused(part: Part) -> AsyncGenerator[None]:
    part.signal(signal.SIGSTOP)
    yield
    part.signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def _delayed(proxy: FaultProxy, seconds: float) -> AsyncGenerator[None]:
    proxy.delay = seconds
    yield
    proxy.delay = 0.0


@contextlib.asynccontextmanager
async def _swallowed(proxy: FaultProxy) -> AsyncGenerator[None]:
    proxy.stall()
    yield
    proxy.resume()


@contextlib.asynccontextmanager
async def _reset(proxy: FaultProxy) -> AsyncGenerator[None]:
    proxy.refuse()
    proxy.reset()
    yield
    await proxy.start()


@contextlib.asynccontextmanager
async def _worker_killed(of: World) -> AsyncGenerator[None]:
    first = of.workers()[0]
    os.kill(first, signal.SIGKILL)
    yield
    await until(lambda: len(of.workers()) == 2, what="the worker to be replaced")


@contextlib.asynccontextmanager
async def _worker_paused(of: World) -> AsyncGenerator[None]:
    first = of.workers()[0]
    os.kill(first, signal.SIGSTOP)
    yield
    os.kill(first, signal.SIGCONT)


@contextlib.asynccontextmanager
async def _disk_full(of: World) -> AsyncGenerator[None]:
    workers = of.workers()
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    yield
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, _UNLIMITED)


@contextlib.asynccontextmanager
async def _clock_step(of: World, seconds: float) -> AsyncGenerator[None]:
    of.set_clock(seconds)
    yield
    of.set_clock(0.0)
    await asyncio.sleep(0)


# Name, seconds that it lasts, and what it does.
FAULTS: tuple[tuple[str, float, Fault], ...] = (
    ("a worker is killed", 1.0, _worker_killed),
    ("a worker is paused", 1.5, _worker_paused),
    ("Redis is killed", 2.0, lambda of: _killed(of.redis)),
    ("Redis is paused", 2.0, lambda of: _paused(of.redis)),
    ("Redis answers 200 ms late", 2.0, lambda of: _delayed(of.to_redis, 0.2)),
    ("Redis swallows everything", 2.0, lambda of: _swallowed(of.to_redis)),
    ("Redis resets and refuses", 2.0, lambda of: _reset(of.to_redis)),
    ("the backend is killed", 2.0, lambda of: _killed(of.backend)),
    ("the backend is paused", 3.0, lambda of: _paused(of.backend)),
    ("the backend answers 300 ms late", 2.0, lambda of: _delayed(of.to_backend, 0.3)),
    ("the provider is killed", 3.0, lambda of: _killed(of.provider)),
    ("the disk is full", 2.0, _disk_full),
    ("the clock steps an hour on and back", 2.0, lambda of: _clock_step(of, 3600)),
    ("the clock steps an hour back and on", 2.0, lambda of: _clock_step(of, -3600)),
)
