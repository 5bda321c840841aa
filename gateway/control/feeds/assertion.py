"""The keys with which the gateway signs what it tells backends, and the set of public ones that it publishes.

Rule: the key and the earlier ones are read whole, checked whole and swapped whole when a file changes.
Invariant: a key that signed is published for as long as an assertion of its may be at work.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.control.feeds.feed import FeedError, Watched
from gateway.control.feeds.watch import FileWatch
from gateway.control.health import ASSERTION, FileHealth
from gateway.kernel.es256 import Es256Key, Jwk, key_set, made_of, read_es256, read_es256_public

_LINGER = 600.0  # seconds that a replaced key stays published: assertions live for 60, and verifiers keep key sets
_SEED = secrets.token_bytes(32)  # made when this module is loaded: before the workers are forked, so they share it


@dataclass(frozen=True, slots=True)
class AssertionSettings:
    """What the keys hang on: two that are equal are one feed over a reload."""

    key: Path | None  # None: a key of this process and its workers
    previous: tuple[Path, ...]


class AssertionKeys:
    """Fulfils the forward stage's KeySource."""

    def __init__(
        self,
        settings: AssertionSettings,
        before: "AssertionKeys | None" = None,
        *,
        health: FileHealth,
        watch: FileWatch | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`before`: whose keys stay published for a while; `clock`: wall clock. Raises FeedError."""
        self.settings = settings
        self._health = health
        self._watch = watch if watch is not None else FileWatch()
        self._clock = clock
        self._files = [path for path in (settings.key, *settings.previous) if path is not None]
        self._watched = Watched(*self._files)
        self._watched.changed()
        self._poller: asyncio.Task[None] | None = None
        self._retired: list[tuple[float, Jwk]] = before.retired() if before is not None else []
        try:
            self.current, self._previous = self._read()
        except ValueError as error:
            raise FeedError(f"assertion: {error}") from None

    def __repr__(self) -> str:
        return f"AssertionKeys({self.current!r}, {len(self._previous)} previous)"

    @property
    def document(self) -> bytes:
        """The JWK Set that is published: the key at work first."""
        now = self._clock()
        self._retired = [(until, jwk) for until, jwk in self._retired if now < until]
        return key_set([self.current.jwk, *self._previous, *(jwk for _, jwk in self._retired)])

    def retired(self) -> list[tuple[float, Jwk]]:
        """What has to stay published when these keys are replaced, each with its end."""
        return [*self._retired, (self._clock() + _LINGER, self.current.jwk)]

    def start(self) -> None:
        """Begin to look at the files."""
        if self._poller is None and self._files:
            self._poller = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop looking at the files."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
            self._poller = None

    def reload(self) -> None:
        """Take up the files if they changed."""
        if not self._watched.changed():
            return
        try:
            key, previous = self._read()
        except ValueError as error:
            self._health.kept(ASSERTION, ASSERTION, str(error))
            return
        if key.kid != self.current.kid:
            self._retired = self.retired()
            self.current = key
        self._previous = previous
        self._health.took(ASSERTION, ASSERTION)

    def _read(self) -> tuple[Es256Key, list[Jwk]]:
        """Raises ValueError with a line that names the file."""
        path, key = self.settings.key, None
        try:
            if path is not None:
                key = read_es256(path.read_bytes())
            previous = []
            for path in self.settings.previous:
                previous.append(read_es256_public(path.read_bytes()))
        except OSError as error:
            raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"{path} {error}") from None
        return key if key is not None else made_of(_SEED), previous

    async def _run(self) -> None:
        bell = self._watch.bell(*self._files)
        try:
            while True:
                await bell.wait()
                self.reload()
        finally:
            bell.close()
