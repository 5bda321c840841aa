"""What a peer is to the benchmark: a program that is told its job by files and started by one command."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from loadtest.job import WORK, Place, Variant


def fetched(program: str) -> str | None:
    """Where a peer's program is: what `make bench-peers` fetched, beside this Python, or on PATH."""
    for candidate in (WORK / "peers" / "bin" / program, Path(sys.executable).with_name(program)):
        if candidate.exists():
            return str(candidate)
    return shutil.which(program)


class Peer(Protocol):
    """A gateway under test."""

    @property
    def name(self) -> str: ...

    @property
    def variants(self) -> Sequence[Variant]: ...

    def missing(self) -> str | None:
        """What has to be installed to run it here; None when it is."""
        ...

    def version(self) -> str:
        """Its version in a word or two."""
        ...

    def command(self, variant: Variant, place: Place) -> list[str]:
        """Write its configuration below `place.directory`; returns what to start, in the foreground."""
        ...
