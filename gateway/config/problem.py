"""What is wrong with a file, and where.

All problems of a file are found in one run.
A message never holds the value of a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.model.place import Place


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning, in one line: a value of the file that it quotes may hold line ends."""

    where: Place
    message: str
    hint: str = ""  # what to write instead

    def __post_init__(self) -> None:
        for name in ("message", "hint"):
            text = getattr(self, name)
            if "\n" in text or "\r" in text:
                object.__setattr__(self, name, text.replace("\r", "\\r").replace("\n", "\\n"))

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigUnreadable(Exception):  # noqa: N818 - it is what became of the file
    """The file, or one that it includes as a whole, is absent or cannot be read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"cannot read {path}: {why}")
        self.path = path


class ConfigInvalid(Exception):  # noqa: N818 - it is what became of the file
    """The file was read and is not valid: every error, in the order of the file."""

    def __init__(self, errors: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        super().__init__("\n".join(f"{problem.where}: error: {problem}" for problem in errors))
        self.errors = tuple(errors)
        self.warnings = tuple(warnings)
