"""How commands speak: to people on a terminal, to machines as one JSON document.

Colours only on a terminal, and never under NO_COLOR.
Standard output holds the answer and nothing else.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

from gateway.config.problem import ConfigInvalid, ConfigUnreadable, Problem
from gateway.model.place import Place

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}


class CannotTell(Exception):  # noqa: N818 - it is an answer: exit code 2
    """The question cannot be answered: bad usage, unreadable input. The message says what to do."""

    def __init__(self, message: str, where: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where


def colourful(stream: TextIO) -> bool:
    """True when `stream` is a terminal that wants colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """`text` in a colour (red, green, yellow, blue, bold, dim), where `stream` (standard output) shows colours."""
    if not colourful(stream if stream is not None else sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


class _Document:
    """Whether the one JSON document stands on standard output already."""

    printed = False


def begin() -> None:
    """A command begins: it has printed nothing yet."""
    _Document.printed = False


def print_json(document: object) -> None:
    """The one JSON document of a command."""
    _Document.printed = True
    print(json.dumps(document, indent=2, ensure_ascii=False))


def add_common_again(action: argparse.ArgumentParser) -> None:
    """`--config` and `--json` behind the name of an action too (`audit verify DIR --json`).

    SUPPRESS keeps what stood before the name.
    """
    action.add_argument("-c", "--config", metavar="FILE", default=argparse.SUPPRESS, help="the file")
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document")


def note(text: str) -> None:
    """Something for people that is not the answer."""
    print(text, file=sys.stderr)


def print_problems(errors: Iterable[Problem], warnings: Iterable[Problem], stream: TextIO | None = None) -> None:
    """A line each, `FILE:LINE:COLUMN: error: message`, errors first (on standard error)."""
    stream = stream if stream is not None else sys.stderr
    for kind, colour, problems in (("error", "red", errors), ("warning", "yellow", warnings)):
        for problem in problems:
            print(f"{problem.where}: {paint(kind, colour, stream)}: {problem}", file=stream)


def problem_document(problem: Problem) -> Mapping[str, object]:
    """One error or warning as machines read it (contract section 10)."""
    where = problem.where
    return {
        "file": where.file,
        "line": where.line,
        "column": where.column,
        "message": problem.message,
        "hint": problem.hint or None,
    }


def cannot_tell(error: CannotTell | ConfigInvalid | ConfigUnreadable, *, as_json: bool) -> int:
    """Say why a command has no answer; returns 2."""
    message, where = str(error), None
    if isinstance(error, ConfigInvalid):
        print_problems(error.errors, ())
        message, where = str(error.errors[0]), error.errors[0].where
    else:
        where = error.where if isinstance(error, CannotTell) else Place(str(error.path), 0, 0)
        place = f"{where}: " if where and where.line else ""
        note(f"{place}{paint('error', 'red', sys.stderr)}: {message}")
    if as_json:
        _print_error(message, where)
    return 2


def interrupted(*, as_json: bool) -> int:
    """The user ended the command; returns 130."""
    if as_json:
        _print_error("interrupted", None)
    return 130


def _print_error(message: str, where: Place | None) -> None:
    if not _Document.printed:
        print_json({"error": {"message": message, **_place_document(where)}})


def _place_document(where: Place | None) -> Mapping[str, object]:
    if where is None:
        return {"file": None, "line": None, "column": None}
    return {"file": where.file, "line": where.line or None, "column": where.column or None}
