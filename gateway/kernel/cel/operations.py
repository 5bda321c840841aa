"""The operators as closures over the closures of their operands.

Rule: `&&` and `||` take a failure back where the other side decides alone (CEL specification, Logical Operators); every
other operator passes a failure on.
Invariant: what was proved about a side when the expression was compiled is not asked again when it runs.
"""

import operator as python
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from gateway.kernel.cel.arithmetic import TABLE, Operator
from gateway.kernel.cel.environment import Run, Subject
from gateway.kernel.cel.values import NUMBERS, ORDERED, Failure, Kind, equal, kind_of


class _None:
    """No constant."""


NOT_CONSTANT = _None()
ORDERS: dict[str, Operator] = {
    "<": python.lt,
    "<=": python.le,
    ">": python.gt,
    ">=": python.ge,
}


@dataclass(frozen=True, slots=True)
class Code(Generic[Subject]):
    """A compiled part of an expression."""

    kind: Kind
    run: Run[Subject]
    sure: bool = False  # it never fails and its kind is what it says
    constant: object = NOT_CONSTANT


def equality(left: Code[Subject], right: Code[Subject], *, wanted: bool) -> Run[Subject]:
    """`==` where `wanted`, else `!=`."""
    if left.constant is not NOT_CONSTANT and right.constant is NOT_CONSTANT:
        left, right = right, left
    one, another, value = left.run, right.run, right.constant
    if isinstance(value, str):
        if left.sure and left.kind is Kind.STRING:
            return (lambda subject: one(subject) == value) if wanted else (lambda subject: one(subject) != value)

        def is_text(subject: Subject) -> object:
            found = one(subject)
            if type(found) is str:
                return (found == value) is wanted
            return found if type(found) is Failure else equal(found, value) is wanted

        return is_text

    def test(subject: Subject) -> object:
        first = one(subject)
        if type(first) is Failure:
            return first
        second = another(subject)
        if type(first) is str and type(second) is str:
            return (first == second) is wanted
        return second if type(second) is Failure else equal(first, second) is wanted

    return test


def order(left: Code[Subject], right: Code[Subject], symbol: str, failure: Failure) -> Run[Subject]:
    """`<`, `<=`, `>` or `>=`."""
    one, another, compare = left.run, right.run, ORDERS[symbol]
    likely = type(right.constant) if kind_of(right.constant) in ORDERED else _None

    def test(subject: Subject) -> object:
        first, second = one(subject), another(subject)
        if type(first) is likely:
            return compare(first, second)
        kind, other = kind_of(first), kind_of(second)
        if (kind is other and kind in ORDERED) or (kind in NUMBERS and other in NUMBERS):
            return compare(first, second)
        if type(first) is Failure:
            return first
        return second if type(second) is Failure else failure

    return test


def inclusion(key: Code[Subject], container: Code[Subject], failure: Failure) -> Run[Subject]:
    """`in` over a list or the keys of a map."""
    one, another, value = key.run, container.run, key.constant
    if isinstance(container.constant, Sequence) and all(type(each) is str for each in container.constant):
        return _among(one, frozenset(map(str, container.constant)))

    def test(subject: Subject) -> object:
        first = one(subject)
        if type(first) is Failure:
            return first
        held = another(subject)
        if type(held) is list or (isinstance(held, Sequence) and not isinstance(held, str | bytes)):
            return first in held if type(first) is str else any(equal(first, each) for each in held)
        if isinstance(held, Mapping):
            return isinstance(first, str) and first in held
        return held if type(held) is Failure else failure

    return test if value is NOT_CONSTANT or not isinstance(value, str) else _holds(value, another, failure)


def _among(one: Run[Subject], texts: frozenset[str]) -> Run[Subject]:
    def test(subject: Subject) -> object:
        found = one(subject)
        return found if type(found) is Failure else isinstance(found, str) and found in texts

    return test


def _holds(value: str, container: Run[Subject], failure: Failure) -> Run[Subject]:
    def test(subject: Subject) -> object:
        held = container(subject)
        if type(held) is list or type(held) is dict:
            return value in held
        if isinstance(held, Sequence | Mapping) and not isinstance(held, str | bytes):
            return value in held
        return held if type(held) is Failure else failure

    return test


def junction(operands: Sequence[Run[Subject]], failures: Sequence[Failure], *, decides: bool) -> Run[Subject]:
    """`||` where True `decides`, `&&` where False does; of several failures the first is told."""
    other = not decides
    if len(operands) == 2:
        return _pair(operands[0], operands[1], failures, decides)
    pairs = tuple(zip(operands, failures, strict=True))

    def test(subject: Subject) -> object:
        failed: Failure | None = None
        for run, failure in pairs:
            found = run(subject)
            if found is decides:
                return decides
            if found is not other and failed is None:
                failed = found if isinstance(found, Failure) else failure
        return other if failed is None else failed

    return test


def _pair(one: Run[Subject], another: Run[Subject], failures: Sequence[Failure], decides: bool) -> Run[Subject]:
    other = not decides
    first_failure, second_failure = failures

    def test(subject: Subject) -> object:
        first = one(subject)
        if first is decides:
            return decides
        second = another(subject)
        if second is decides:
            return decides
        if first is not other:
            return first if type(first) is Failure else first_failure
        if second is not other:
            return second if type(second) is Failure else second_failure
        return other

    return test


def negation(operand: Run[Subject], failure: Failure) -> Run[Subject]:
    """`!`."""

    def test(subject: Subject) -> object:
        found = operand(subject)
        if found is True:
            return False
        if found is False:
            return True
        return found if type(found) is Failure else failure

    return test


def choice(condition: Run[Subject], then: Run[Subject], otherwise: Run[Subject], failure: Failure) -> Run[Subject]:
    """`?:`; only the side that is chosen is looked at."""

    def run(subject: Subject) -> object:
        found = condition(subject)
        if found is True:
            return then(subject)
        if found is False:
            return otherwise(subject)
        return found if type(found) is Failure else failure

    return run


def applied(
    compute: Operator, runs: Sequence[Run[Subject]], takes: Sequence[frozenset[Kind]], wrong: Failure, failed: Failure
) -> Run[Subject]:
    """A function over one or two arguments of these kinds; `wrong` kinds fail, and so does what cannot be computed."""
    wanted = tuple(zip(runs, takes, strict=True))

    def run(subject: Subject) -> object:
        values = []
        for each, kinds in wanted:
            value = each(subject)
            if type(value) is Failure:
                return value
            if kind_of(value) not in kinds:
                return wrong
            values.append(value)
        try:
            return compute(*values)
        except (ArithmeticError, ValueError):
            return failed

    return run


def of_text(compute: Operator, receiver: Code[Subject], argument: str, wrong: Failure) -> Run[Subject]:
    """startsWith, endsWith or contains with an argument that stands in the expression."""
    one = receiver.run
    if receiver.sure and receiver.kind is Kind.STRING:
        return lambda subject: compute(one(subject), argument)

    def test(subject: Subject) -> object:
        found = one(subject)
        if isinstance(found, str):
            return compute(found, argument)
        return found if type(found) is Failure else wrong

    return test


def arithmetic(left: Run[Subject], right: Run[Subject], symbol: str, wrong: Failure, failed: Failure) -> Run[Subject]:
    """`+ - * / %`."""

    def run(subject: Subject) -> object:
        first, second = left(subject), right(subject)
        found = TABLE.get((symbol, kind_of(first), kind_of(second)))
        if found is None:
            if type(first) is Failure:
                return first
            return second if type(second) is Failure else wrong
        try:
            return found[1](first, second)
        except ArithmeticError:
            return failed

    return run


def item(operand: Run[Subject], key: Run[Subject], wrong: Failure, outside: Failure) -> Run[Subject]:
    """`list[position]`."""

    def run(subject: Subject) -> object:
        held = operand(subject)
        if type(held) is Failure:
            return held
        position = key(subject)
        if type(position) is Failure:
            return position
        if kind_of(held) is not Kind.LIST or not isinstance(held, Sequence) or kind_of(position) not in NUMBERS:
            return wrong
        if not isinstance(position, int) or not 0 <= position < len(held):
            return outside
        return held[position]

    return run


def member(operand: Run[Subject], name: str, wrong: Failure, absent: Failure) -> Run[Subject]:
    """`map.name`."""

    def run(subject: Subject) -> object:
        held = operand(subject)
        if type(held) is dict or isinstance(held, Mapping):
            return held.get(name, absent)
        return held if type(held) is Failure else wrong

    return run


def has_member(operand: Run[Subject], name: str, wrong: Failure) -> Run[Subject]:
    """`has(map.name)`."""

    def run(subject: Subject) -> object:
        held = operand(subject)
        if isinstance(held, Mapping):
            return name in held
        return held if type(held) is Failure else wrong

    return run


def collected(runs: Sequence[Run[Subject]], keys: Sequence[str] | None = None) -> Run[Subject]:
    """`[a, b]`, and with `keys` `{"k": a, "l": b}`."""
    parts = tuple(runs)

    def run(subject: Subject) -> object:
        values = []
        for each in parts:
            value = each(subject)
            if type(value) is Failure:
                return value
            values.append(value)
        return values if keys is None else dict(zip(keys, values, strict=True))

    return run
