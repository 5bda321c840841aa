"""An issuer's keys from a file (`jwks: FILE`).

Rule: read whole, checked whole, swapped whole; looked at again when it changes and at an unknown kid.
Invariant: a file that cannot be used keeps the last good keys, which do not grow stale: nobody else answers for them.
"""

import asyncio
import logging
from pathlib import Path

from gateway.control.feeds.feed import FeedError, Watched
from gateway.control.feeds.jwks import OnRefresh
from gateway.control.feeds.watch import FileWatch
from gateway.stages.authenticate.keys import KeySet, parse_key_set

log = logging.getLogger(__name__)


class FileKeys:
    """One issuer's keys. Fulfils the stage's KeySource."""

    def __init__(
        self, name: str, path: Path, *, on_refresh: OnRefresh | None = None, watch: FileWatch | None = None
    ) -> None:
        """`name`: the issuer's in routes.yaml. Raises FeedError when the file cannot be used."""
        self._name = name
        self.path = path
        self._on_refresh = on_refresh
        self._watch = watch if watch is not None else FileWatch()
        self._watched = Watched(path)
        self._watched.changed()
        self._failing = False
        self._poller: asyncio.Task[None] | None = None
        try:
            # In force. An attribute: every request with a token reads it.
            self.current: KeySet | None = self._read()
        except (OSError, ValueError) as error:
            raise FeedError(f"issuer {name}: the key set {path} cannot be used: {error}") from None

    def __repr__(self) -> str:
        return f"FileKeys({self._name!r}, {self.current!r})"

    @property
    def failing(self) -> bool:
        """True while the file cannot be used and older keys serve, for `/readyz?verbose`."""
        return self._failing

    def age(self) -> float | None:
        """None: keys from a file do not age."""
        return None

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

    async def refetch(self) -> bool:
        """Look at the file now. False while it cannot be used."""
        self.reload()
        return not self._failing

    def reload(self) -> None:
        """Take up the file if it changed."""
        if not self._watched.changed():
            return
        try:
            self.current = self._read()
        except (OSError, ValueError) as error:
            log.error("issuer %s: %s cannot be used, the last good keys serve on: %s", self._name, self.path, error)
            self._failing = True
        else:
            log.info("issuer %s: its keys were read again", self._name)
            self._failing = False
        if self._on_refresh is not None:
            self._on_refresh(self._name, not self._failing)

    def _read(self) -> KeySet:
        keys = parse_key_set(self.path.read_bytes())
        for alarm in keys.alarms:
            log.warning("issuer %s: %s", self._name, alarm)
        return keys

    async def _run(self) -> None:
        bell = self._watch.bell(self.path)
        try:
            while True:
                await bell.wait()
                self.reload()
        finally:
            bell.close()
