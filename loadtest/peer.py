"""What a peer is to the benchmark: a program that is told its job by files and started by one command."""

from collections.abc import Sequence
from typing import Protocol

from loadtest.job import Place, Variant


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
