"""What every feed is, and the error of one that cannot even begin."""

import asyncio
from pathlib import Path
from typing import Protocol

REST = 0.1  # seconds without a change after which who writes is taken to be done
_LOOKS = 20  # as often at most is waited for a rest: what never rests is read as it is


class FeedError(Exception):
    """A file that the config names cannot be used. The text is one line that says what to do."""


class Feed(Protocol):
    """A long-lived source. Made once, kept over a reload while its settings stay equal."""

    def start(self) -> None:
        """Begin to refresh in the background, on the running loop. A second call does nothing."""
        ...

    async def close(self) -> None:
        """Stop. What was published stays readable for requests that are still under way."""
        ...


class Watched:
    """Notices that files changed, by what stat says of them (renames and symlink swaps too)."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._seen: tuple[tuple[int, int, int] | None, ...] | None = None

    def changed(self) -> bool:
        """True once for each change since the last call, and at the first call."""
        now = tuple(map(_signature, self._paths))
        if now == self._seen:
            return False
        self._seen = now
        return True

    async def settled(self) -> bool:
        """Like `changed`, but once no other change followed for REST seconds, or after two seconds of changes.

        For what is only good as a whole: a pair of files that is written one after the other, a file in pieces.
        """
        if not self.changed():
            return False
        for _ in range(_LOOKS):
            await asyncio.sleep(REST)
            if not self.changed():
                break
        return True


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
