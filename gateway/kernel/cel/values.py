"""The values of CEL, as Python holds them, and what makes two of them equal.

Rule: an int, a uint, a timestamp and a duration are never mixed up, although Python could add them all.
Invariant: a failure is a value too, made once where an expression is compiled; it names the place, never what was read.
"""

from collections.abc import Mapping, Sequence
from enum import Enum


class Kind(Enum):
    """A type of CEL; ANY where it is known only when a request is judged."""

    ANY = "a value"
    BOOL = "a boolean"
    INT = "an int"
    UINT = "a uint"
    DOUBLE = "a double"
    STRING = "a string"
    BYTES = "bytes"
    NULL = "null"
    LIST = "a list"
    MAP = "a map"
    TIMESTAMP = "a timestamp"
    DURATION = "a duration"

    __hash__ = object.__hash__  # Enum's own hashes the name, in Python: tables by kind are asked for each request


class Uint(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


class Timestamp(int):
    """Nanoseconds since the epoch."""

    __slots__ = ()


class Duration(int):
    """Nanoseconds."""

    __slots__ = ()


class Failure:
    """What an expression gives where it cannot give a value: an error of CEL."""

    __slots__ = ("column", "line", "message")

    def __init__(self, message: str, line: int, column: int) -> None:
        """`line` and `column` count from 1 within the expression."""
        self.message = message
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"{self.message} (at {self.line}:{self.column} of the expression)"


NUMBERS = frozenset((Kind.INT, Kind.UINT, Kind.DOUBLE))
ORDERED = NUMBERS | {Kind.BOOL, Kind.STRING, Kind.BYTES, Kind.TIMESTAMP, Kind.DURATION}
INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1

_KINDS: dict[type, Kind] = {
    bool: Kind.BOOL,
    int: Kind.INT,
    Uint: Kind.UINT,
    float: Kind.DOUBLE,
    str: Kind.STRING,
    bytes: Kind.BYTES,
    type(None): Kind.NULL,
    list: Kind.LIST,
    tuple: Kind.LIST,
    dict: Kind.MAP,
    Timestamp: Kind.TIMESTAMP,
    Duration: Kind.DURATION,
}
_DEEPEST = 32  # levels that a comparison looks into


def kind_of(value: object) -> Kind:
    """Its kind; ANY for what is no value of CEL."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, str):
        return Kind.STRING
    if isinstance(value, Mapping):
        return Kind.MAP
    return Kind.LIST if isinstance(value, Sequence) else Kind.ANY


def equal(left: object, right: object, depth: int = _DEEPEST) -> bool:
    """`==` of CEL: numbers by their value whatever their type, everything else only with its own kind.

    What is nested deeper than 32 levels is not equal to anything.
    """
    kind, other = kind_of(left), kind_of(right)
    if kind in NUMBERS:
        return other in NUMBERS and left == right
    if kind is not other or kind is Kind.ANY or not depth:
        return False
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if len(left) != len(right):
            return False
        return all(key in right and equal(held, right[key], depth - 1) for key, held in left.items())
    if kind is Kind.LIST and isinstance(left, Sequence) and isinstance(right, Sequence):
        if len(left) != len(right):
            return False
        return all(equal(one, another, depth - 1) for one, another in zip(left, right, strict=True))
    return left == right
