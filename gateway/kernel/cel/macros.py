"""`exists` and `all`: one condition over each element of a list, at most 256 of them.

Rule: errors are absorbed as `||` and `&&` absorb them (CEL specification, Macros).
"""

from collections.abc import Sequence
from typing import TypeAlias

from gateway.kernel.cel.environment import Field, Record, Run, Subject, Variables
from gateway.kernel.cel.values import Failure, Kind, kind_of

LONGEST = 256  # elements; a longer list is a failure
_Inner: TypeAlias = tuple[Subject, object]  # the request, and the element that is looked at


def macro(
    items: Run[Subject], body: Run[_Inner[Subject]], wrong: Failure, long: Failure, *, decides: bool
) -> Run[Subject]:
    """`exists` where True `decides`, `all` where False does."""

    def run(subject: Subject) -> object:
        held = items(subject)
        if type(held) is Failure:
            return held
        if kind_of(held) is not Kind.LIST or not isinstance(held, Sequence):
            return wrong
        if len(held) > LONGEST:
            return long
        failed: object = None
        for each in held:
            found = body((subject, each))
            if found is decides:
                return decides
            if failed is None and type(found) is Failure:
                failed = found
        return (not decides) if failed is None else failed

    return run


def within(variables: Variables[Subject], name: str) -> Variables[_Inner[Subject]]:
    """The variables of a body: those around it, and the element."""
    inner: dict[str, Field[_Inner[Subject]] | Record[_Inner[Subject]]] = {
        known: _outer(found) for known, found in variables.items()
    }
    inner[name] = Field(Kind.ANY, lambda _: lambda pair: pair[1])
    return inner


def _outer(found: Field[Subject] | Record[Subject]) -> Field[_Inner[Subject]] | Record[_Inner[Subject]]:
    if isinstance(found, Record):
        record, whole = found, found.whole
        return Record(lambda name: _outer(record.member(name)), lambda pair: whole(pair[0]), record.names)
    field = found

    def make(absent: object) -> Run[_Inner[Subject]]:
        run = field.make(absent)
        return lambda pair: run(pair[0])

    return Field(field.kind, make, field.always)
