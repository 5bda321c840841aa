"""Value patterns: exact, `prefix*`, `*suffix`, and `*` for present and not empty.

A pattern matches the whole value as a string; a `*` anywhere else is refused when the file is loaded.
Many patterns of one field compile to one predicate that costs about the same as one pattern.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeAlias

Match: TypeAlias = Callable[[str], bool]


class Kind(Enum):
    """What a value pattern compares."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    PRESENT = "present"


def parse_value(pattern: str) -> tuple[Kind, str]:
    """The kind of `pattern` and its literal text, without the `*`. Raises ValueError."""
    if not pattern:
        raise ValueError('an empty pattern matches nothing: write a value, or "*" for any that is not empty')
    if pattern == "*":
        return Kind.PRESENT, ""
    head, tail = pattern.startswith("*"), pattern.endswith("*")
    literal = pattern[head : len(pattern) - tail]
    if (head and tail) or "*" in literal:
        plain = literal.replace("*", "") or "value"
        raise ValueError(
            f'"{pattern}": one "*" may stand, at the end or at the beginning: write "{plain}*" or "*{plain}"'
        )
    if head:
        return Kind.SUFFIX, literal
    return (Kind.PREFIX, literal) if tail else (Kind.EXACT, literal)


def only_prefixes(patterns: Sequence[str]) -> tuple[str, ...]:
    """The literals of `patterns` where all of them are `prefix*`, for a `startswith` in place; else ()."""
    parsed = [parse_value(pattern) for pattern in patterns]
    return tuple(literal for _, literal in parsed) if all(kind is Kind.PREFIX for kind, _ in parsed) else ()


def compile_values(patterns: Sequence[str], *, ignore_case: bool = False) -> Match:
    """One predicate that is true for a value that any of `patterns` matches.

    With `ignore_case` the values given to it must be lower case already. Raises ValueError.
    """
    parsed = [parse_value(pattern.lower() if ignore_case else pattern) for pattern in patterns]
    exact = frozenset(literal for kind, literal in parsed if kind is Kind.EXACT)
    prefixes = tuple(literal for kind, literal in parsed if kind is Kind.PREFIX)
    suffixes = tuple(literal for kind, literal in parsed if kind is Kind.SUFFIX)
    if any(kind is Kind.PRESENT for kind, _ in parsed):
        return bool
    if not prefixes and not suffixes:
        return exact.__contains__
    if not exact and not suffixes:
        return lambda value: value.startswith(prefixes)
    return lambda value: value in exact or value.startswith(prefixes) or value.endswith(suffixes)
