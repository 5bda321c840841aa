"""Facts about devices from a file (`posture.NAME.source: {file: FILE}`).

Rule: read whole, checked whole, swapped whole; looked at again twice a second.
Invariant: a file that cannot be used keeps the last good facts, which grow old as of when they were written.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from gateway.config.devices import read_devices
from gateway.control.feeds.feed import FeedError, Watched
from gateway.model.json import Claims

log = logging.getLogger(__name__)

_POLL = 0.5  # seconds: an open stream that hangs on it ends within one


class DeviceFile:
    """One file. Fulfils the posture stage's Table."""

    def __init__(self, path: Path) -> None:
        """Raises FeedError when the file cannot be used."""
        self.path = path
        self._watched = Watched(path)
        self._watched.changed()
        self._poller: asyncio.Task[None] | None = None
        self.devices: Mapping[str, Claims] = {}
        self.written = 0.0  # seconds since the epoch
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise FeedError(f"the devices in {path} cannot be used: {error}") from None

    def start(self) -> None:
        """Begin to look at the file."""
        if self._poller is None:
            self._poller = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop looking at the file."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
            self._poller = None

    def reload(self) -> None:
        """Take up the file if it changed."""
        if not self._watched.changed():
            return
        try:
            self._read()
        except (OSError, ValueError) as error:
            log.error("%s cannot be used, the last good facts about devices serve on: %s", self.path, error)
        else:
            log.info("%s was read again", self.path)

    def _read(self) -> None:
        written = self.path.stat().st_mtime
        self.devices, self.written = read_devices(self.path), written

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_POLL)
            self.reload()
