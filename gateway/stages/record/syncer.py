"""Makes what was written durable: fsync in a thread, never on the loop.

One fsync runs at a time; who comes meanwhile joins the next (group commit). Each works on its own duplicate of the
descriptor, so that a segment may be closed under it.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.stages.record.promise import Promise

log = logging.getLogger(__name__)


class Syncer:
    """For one stream; `descriptor` gives the file at work, `failed` is told why an fsync failed."""

    def __init__(self, descriptor: Callable[[], int], failed: Callable[[OSError], None]) -> None:
        self._descriptor = descriptor
        self._failed = failed
        self._joined: list[Promise] = []
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "audit-fsync")

    def join(self, promise: Promise) -> None:
        """Keep it with True once all that is written now is on the disk, with False when it may not be."""
        self._joined.append(promise)
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    def run(self, remove: Callable[[list[Path], int], None], doomed: list[Path]) -> None:
        """Delete files in the thread, after what is written now is on the disk."""
        self._thread.submit(remove, doomed, os.dup(self._descriptor()))

    async def close(self) -> None:
        """One last fsync. Raises nothing."""
        if self._running is not None:
            await self._running
        await self._run()
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            waiting, self._joined = self._joined, []
            written = True
            try:
                await loop.run_in_executor(self._thread, _fsync, os.dup(self._descriptor()))
            except OSError as error:
                written = False
                self._failed(error)
            for promise in waiting:
                promise.keep(written=written)
            if not self._joined:
                self._running = None
                return


def finish(old: int, *, synced: bool) -> None:
    """Close a segment that is full; when records are `synced`, it is so before the waiting requests go on."""
    if synced:
        try:
            os.fsync(old)  # once a segment: its last lines may still be waited for
        except OSError as error:
            log.error("audit: a full segment may not be on the disk: %s", error.strerror)
    with contextlib.suppress(OSError):
        os.close(old)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
