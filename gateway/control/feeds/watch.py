"""Notices that files change: at once where the system tells, within a poll everywhere.

Rule: directories are watched, not files: a rename, and a ConfigMap's symlink swap, happen in the directory.
Invariant: a bell only says "look again"; who listens compares the files itself, so a bell too many costs a stat.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between two looks where nothing rings: network file systems tell nobody
_STEP = 50  # milliseconds without another change, so that a pair of files is read as a pair
_DEBOUNCE = 300  # milliseconds after which a bell rings although changes go on


class Bell:
    """One listener's: rings when something happened beside its files, and after a poll in any case."""

    def __init__(self, watch: "FileWatch", directories: frozenset[Path]) -> None:
        self.directories = directories
        self._watch = watch
        self._rung = asyncio.Event()

    def __repr__(self) -> str:
        return f"Bell({len(self.directories)} directories)"

    def ring(self) -> None:
        """Let `wait` return."""
        self._rung.set()

    async def wait(self) -> None:
        """Until it is worth looking again."""
        timer = asyncio.get_running_loop().call_later(self._watch.poll, self._rung.set)
        try:
            await self._rung.wait()
        finally:
            timer.cancel()
        self._rung.clear()

    def close(self) -> None:
        """Not listening any more."""
        self._watch.forget(self)


class FileWatch:
    """The directories that one worker's files lie in, under one watch of the operating system."""

    def __init__(self, poll: float = POLL) -> None:
        """`poll`: seconds."""
        self.poll = poll
        self._bells: set[Bell] = set()
        self._watched: frozenset[Path] = frozenset()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"FileWatch({len(self._bells)} bells, {len(self._watched)} directories)"

    def bell(self, *paths: Path) -> Bell:
        """A bell for these files, on the running loop. Close it."""
        made = Bell(self, directories_of(paths))
        self._bells.add(made)
        self._again()
        return made

    def ring(self) -> None:
        """Something changed that no directory tells of."""
        for bell in tuple(self._bells):
            bell.ring()

    def forget(self, bell: Bell) -> None:
        """It rings no more."""
        self._bells.discard(bell)
        self._again()

    async def close(self) -> None:
        """Stop watching; bells ring by the poll alone."""
        self._bells.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _again(self) -> None:
        """Watch what is asked for now, and nothing else."""
        wanted = frozenset().union(*(bell.directories for bell in self._bells))
        if wanted == self._watched:
            return
        self._watched = wanted
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(self._run(wanted)) if wanted else None

    async def _run(self, directories: frozenset[Path]) -> None:
        from watchfiles import awatch  # only where something serves: it takes 10 ms to load

        try:
            changes = awatch(*directories, watch_filter=None, debounce=_DEBOUNCE, step=_STEP, recursive=False)
            async with contextlib.aclosing(changes):
                async for _ in changes:
                    self.ring()
        except (OSError, RuntimeError) as error:  # no inotify left, or the directory is gone
            log.debug("files are only looked at every %g s: %s", self.poll, error)


def directories_of(paths: Iterable[Path]) -> frozenset[Path]:
    """Where a change of these files shows: beside the name, and beside what it points to. Only those that exist."""
    found = {place for path in paths for place in (path.absolute().parent, path.resolve().parent)}
    return frozenset(place for place in found if place.is_dir())
