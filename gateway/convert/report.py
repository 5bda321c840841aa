"""What became of a conversion besides its result: what was not carried, and what reads differently here.

Every thing that was not carried has its place; a note has none, for it speaks of meaning.
Nothing is said twice.
"""

from dataclasses import dataclass

from gateway.model.place import Place


@dataclass(frozen=True, slots=True)
class NotCarried:
    """One thing of the input that the output does not hold."""

    where: Place
    resource: str  # KIND/NAME; "" where the input is one file of ours
    path: str  # as in `spec.rules[0].from[1].source`
    why: str  # with what to write instead, where there is something

    def __str__(self) -> str:
        """As it is printed: `FILE:LINE:COLUMN: not carried: KIND/NAME path: why`."""
        return f"{self.where}: not carried: {f'{self.resource} {self.path}'.strip()}: {self.why}"


class Report:
    """Collects both."""

    def __init__(self) -> None:
        self._lost: dict[NotCarried, None] = {}
        self._notes: dict[str, None] = {}

    def lose(self, where: Place, resource: str, path: str, why: str) -> None:
        """Say that something is not carried."""
        self._lost[NotCarried(where, resource, path, why)] = None

    def note(self, text: str) -> None:
        """Say that something reads differently here."""
        self._notes[text] = None

    @property
    def not_carried(self) -> tuple[NotCarried, ...]:
        """All of it, file by file, in the order of each."""
        files = list(dict.fromkeys(lost.where.file for lost in self._lost))
        return tuple(sorted(self._lost, key=lambda lost: (files.index(lost.where.file), lost.where)))

    @property
    def notes(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._notes)
