"""What a plain scalar of a file is: the core schema of YAML 1.2, and texts that know how they were written.

Rule: what programs read differently (`0777`, `1:30`, `yes`) stays a text, and is an error where no text is wanted.
"""

import re
from typing import Self

from gateway.model.place import Place

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_OTHER_BASE = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_FLOAT_WORD = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class Text(str):
    """A plain (unquoted) scalar of the file that is no number, boolean or null."""

    __slots__ = ("variable",)
    variable: bool

    def __new__(cls, value: str, *, variable: bool = False) -> Self:
        """With `variable`: the whole scalar was `${NAME}` and takes the type of its key."""
        made = super().__new__(cls, value)
        made.variable = variable
        return made


class Expression(Text):
    """CEL, and where its first character stands when it is written in one line as it is."""

    __slots__ = ("begins",)
    begins: Place | None

    @classmethod
    def at(cls, value: str, begins: Place | None) -> Self:
        """`begins` is None for a text over several lines or with escapes."""
        made = cls(value)
        made.begins = begins
        return made

    def place(self, line: int, column: int) -> Place | None:
        """Where a character of the expression stands in the file."""
        if self.begins is None or line != 1:
            return None
        return Place(self.begins.file, self.begins.line, self.begins.column + column - 1)


class Number(float):
    """A number with a fraction or exponent, as it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text.replace(".inf", "inf").replace(".nan", "nan"))
        made.text = text
        return made


def core_scalar(text: str) -> object:
    """What a plain scalar is in the core schema of YAML 1.2 (section 10.3.2).

    `0777` stays a text: programs disagree about it, and where a number is wanted it is an error.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    first = text[0]
    if first.isdigit() or first in "+-.":
        if _INT.fullmatch(text):
            return int(text)
        if _OTHER_BASE.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
            return Number(text)
        if _FLOAT_WORD.fullmatch(text):
            return Number(text.lower())
    return Text(text)


BROKEN = Text("\0", variable=True)  # stands where a value could not be read; its fault is reported
