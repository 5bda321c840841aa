"""An issuer's last good keys in a file: over restarts, and for the other workers.

Rule: who fetches holds the lock, and looks first whether another process has just done so.
Invariant: the file is written whole and is its user's alone; one that cannot be read or locked only costs a fetch.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.kernel.strict import NotStrict, parse_object

log = logging.getLogger(__name__)

_LOOK = 0.02  # seconds between two tries for the lock
_PATIENCE = 20.0  # seconds that another process's fetch is waited for; then this one fetches too


@dataclass(frozen=True, slots=True)
class Kept:
    """What was fetched, by whichever process."""

    body: bytes  # of the answer
    fetched: float  # seconds since the epoch
    demanded: float  # when keys were last fetched for an unknown kid, seconds since the epoch; 0: never
    pace: float  # seconds after which they are to be fetched again


class KeptKeys:
    """The file of one issuer, and the lock beside it."""

    def __init__(self, state: Path, issuer: str, jwks_uri: str | None) -> None:
        """`state`: the directory for what outlives the process."""
        self._issuer = issuer
        name = sha256(f"{issuer}\n{jwks_uri or ''}".encode()).hexdigest()[:32]
        self.path = state / "keys" / f"{name}.json"

    def __repr__(self) -> str:
        return f"KeptKeys({self.path})"

    def prepare(self) -> None:
        """Make the directory, so that it can be watched. Failing to is no failure."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self) -> Kept | None:
        """What the file holds; None when there is none, or another issuer's, or one that is not whole."""
        try:
            kept = parse_object(self.path.read_bytes())
        except (OSError, NotStrict):
            return None
        body = kept.get("jwks")
        numbers = [kept.get(name) for name in ("fetched", "demanded", "pace")]
        if kept.get("issuer") != self._issuer or not isinstance(body, str):
            return None
        fetched, demanded, pace = (float(n) if isinstance(n, int | float) else 0.0 for n in numbers)
        return Kept(body.encode(), fetched, demanded, pace)

    def write(self, kept: Kept) -> None:
        """Write the keys down. Failing to is no failure: another process or a restart has to fetch."""
        members = {"issuer": self._issuer, "fetched": kept.fetched, "demanded": kept.demanded, "pace": kept.pace}
        text = json.dumps({**members, "jwks": kept.body.decode("utf-8", "replace")})
        try:
            written = self.path.with_suffix(f".{os.getpid()}.tmp")
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            written.replace(self.path)
        except OSError as error:
            log.debug("issuer %s: its keys cannot be kept in %s: %s", self._issuer, self.path, error)

    def turn(self) -> contextlib.AbstractAsyncContextManager[None]:
        """One process at a time."""
        return turn(self.path)


@contextlib.asynccontextmanager
async def turn(path: Path) -> AsyncGenerator[None]:
    """One process at a time. Where the lock cannot be had (read-only, or held too long) everybody's turn is now."""
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield
        return
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE
    try:
        while not _locked(lock) and loop.time() < end:  # noqa: ASYNC110 - another process lets go: nobody can tell
            await asyncio.sleep(_LOOK)
        yield
    finally:
        os.close(lock)  # gives the lock up


def _locked(file: int) -> bool:
    """True when the lock was free, or is not to be had on this file system."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
