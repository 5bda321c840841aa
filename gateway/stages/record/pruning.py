"""Deletes whole old segments of a stream, where `audit.keep` says so.

Rule: first a `pruned` record tells what will be gone and binds its last hash, then a checkpoint stands over that
record, then both are on the disk, then the files go, oldest first. Invariant: what is left begins with a segment whose
own record binds the same hash, so that a verifier can tell pruned from stolen.
"""

import json
import logging
import os
from collections.abc import Collection
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from gateway.stages.record.stream import segment_numbers
from gateway.stages.record.text import quote

log = logging.getLogger(__name__)

PRUNED = "pruned"
_PAUSE = 60.0  # seconds between two looks at the directory
_LONGEST = 1 << 16  # bytes of a segment's first line


class _First(NamedTuple):
    """What a segment's first line says."""

    time: float
    before: tuple[str, int, str]  # file, seq and hash of the last record of the segment before


class Pruner:
    """For one stream. The log asks at each checkpoint, and says what it wrote."""

    def __init__(self, directory: Path, stream: str, keep: float) -> None:
        """`keep`: seconds."""
        self._directory = directory
        self._stream = stream
        self._keep = keep
        self._again = 0.0  # not before this time
        self._doomed: list[Path] = []

    def announce(self, now: float, at_work: int) -> str | None:
        """The members of a `pruned` record that is due, else None. `at_work`: number of the segment being written."""
        if now < self._again or self._doomed:
            return None
        self._again = now + _PAUSE
        try:
            numbers = [number for number in segment_numbers(self._directory, self._stream) if number <= at_work]
            found = self._found(numbers, now - self._keep)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("audit: old segments of %s cannot be judged, none is deleted: %s", self._stream, error)
            return None
        if found is None:
            return None
        count, (file, seq, digest) = found
        self._doomed = [self._path(number) for number in numbers[:count]]
        return (
            f',"segments":[{numbers[0]},{numbers[count - 1]}]'
            f',"before":{{"file":{quote(file)},"seq":{seq},"hash":{quote(digest)}}}'
        )

    def wrote(self, kinds: Collection[str]) -> list[Path]:
        """After a checkpoint was written, behind records of these kinds: the files that may go now."""
        doomed, self._doomed = self._doomed, []
        return doomed if PRUNED in kinds else []

    def _found(self, numbers: list[int], before: float) -> "tuple[int, tuple[str, int, str]] | None":
        """How many segments, from the oldest, hold nothing younger than `before`, and the last record of the last."""
        count, last = 0, None
        for number, following in pairwise(numbers):
            first = _first(self._path(following))
            if following != number + 1 or first.time > before:
                break
            count, last = count + 1, first.before
        return None if last is None else (count, last)

    def _path(self, number: int) -> Path:
        return self._directory / f"{self._stream}-{number:06d}.jsonl"


def remove(doomed: list[Path], descriptor: int) -> None:
    """Delete files once `descriptor` (of the segment that tells of it) is on the disk; closes it. Raises nothing."""
    try:
        os.fsync(descriptor)
        for path in doomed:
            path.unlink(missing_ok=True)
        log.info("audit: %d old segments were deleted, up to %s", len(doomed), doomed[-1].name)
    except OSError as error:
        log.warning("audit: old segments are not deleted yet: %s", error.strerror)
    finally:
        os.close(descriptor)


def _first(path: Path) -> _First:
    """Raises OSError, or ValueError, KeyError or TypeError where it is no segment."""
    with path.open("rb") as file:
        record = json.loads(file.readline(_LONGEST))
    before = record["before"]
    return _First(
        datetime.fromisoformat(record["time"]).timestamp(), (before["file"], int(before["seq"]), before["hash"])
    )
