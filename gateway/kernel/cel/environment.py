"""What an expression may read: variables, their members, and how each is had of a request.

Rule: every name is resolved when the expression is compiled; nothing is looked up by name when it runs.
Invariant: `Subject` is whatever the readers take; the language itself knows of no request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from gateway.kernel.cel.values import Kind

Subject = TypeVar("Subject")
Run: TypeAlias = Callable[[Subject], object]


@dataclass(frozen=True, slots=True)
class Field(Generic[Subject]):
    """A value of a kind.

    `make` gives its reader, which returns what it was given for what is absent; a reader may also give a Failure.
    """

    kind: Kind
    make: Callable[[object], Run[Subject]]
    always: bool = False  # never absent, and of that kind whenever it is read


@dataclass(frozen=True, slots=True)
class Record(Generic[Subject]):
    """A map whose keys are literals in an expression."""

    member: Callable[[str], "Field[Subject] | Record[Subject]"]  # raises ValueError for what it never has
    whole: Callable[[Subject], Mapping[str, object]]  # all that is there, for size() and ==
    names: tuple[str, ...] = ()  # its members, where they are few


Variables: TypeAlias = Mapping[str, Field[Subject] | Record[Subject]]


def always(kind: Kind, run: Run[Subject]) -> Field[Subject]:
    """A field that is never absent."""
    return Field(kind, lambda _: run, always=True)


def record(
    members: Mapping[str, Field[Subject] | Record[Subject]], whole: Callable[[Subject], Mapping[str, object]]
) -> Record[Subject]:
    """A record of known members."""

    def member(name: str) -> Field[Subject] | Record[Subject]:
        if name not in members:
            raise ValueError(f"there is no {name!r} here: there are {', '.join(members)}")
        return members[name]

    return Record(member, whole, tuple(members))
