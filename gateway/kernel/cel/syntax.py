"""The parts of an expression, as the parser hands them to the compiler.

Rule: a chain of `&&` or `||` is one node, however long; everything else that nests counts towards a bound.
Invariant: each node knows which text it came from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias


class CelInvalid(ValueError):  # noqa: N818 - what the expression is
    """The expression is not in the language; `line` and `column` count from 1 within it."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{message} (at {line}:{column} of the expression)")
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Span:
    """From where to where in the text, and where to point at: offsets from 0."""

    start: int
    end: int
    at: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text."""

    span: Span
    value: object


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.name`."""

    span: Span
    operand: "Node"
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """`operand[key]`."""

    span: Span
    operand: "Node"
    key: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """`name(…)` or `receiver.name(…)`."""

    span: Span
    name: str
    receiver: "Node | None"
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator over its operands: `!` and `-` have one, `?:` three, `&&` and `||` two or more."""

    span: Span
    operator: str
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    span: Span
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{"a": 1}`; keys are strings that stand in the text."""

    span: Span
    items: tuple["Node", ...]
    keys: tuple[str, ...] = field(default=())


Node: TypeAlias = Literal | Name | Select | Index | Call | Operation | ListOf | MapOf
Path: TypeAlias = tuple[str, ...]


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below."""
    match node:
        case Select(operand=operand):
            return (operand,)
        case Index(operand=operand, key=key):
            return (operand, key)
        case Call(receiver=receiver, arguments=arguments):
            return arguments if receiver is None else (receiver, *arguments)
        case Operation(operands=operands):
            return operands
        case ListOf(items=items) | MapOf(items=items):
            return items
    return ()


def step(node: Node) -> tuple[Node, str] | None:
    """Operand and name of `operand.name` and `operand["name"]`."""
    if isinstance(node, Select):
        return node.operand, node.name
    if isinstance(node, Index) and isinstance(node.key, Literal) and isinstance(node.key.value, str):
        return node.operand, node.key.value
    return None


def reads(node: Node) -> Iterator[Path]:
    """Which variables the expression reads, each by its whole way: ("claims", "realm_access", "roles")."""
    if isinstance(node, Call) and node.name in ("exists", "all") and node.receiver is not None:
        yield from reads(node.receiver)
        variable = node.arguments[0] if node.arguments else None
        for argument in node.arguments[1:]:
            yield from (
                path for path in reads(argument) if not (isinstance(variable, Name) and path[0] == variable.name)
            )
        return
    if isinstance(node, Operation) and node.operator == "in":
        key, container = node.operands
        way = _way(container)
        if way is not None and isinstance(key, Literal) and isinstance(key.value, str):
            if len(way) > 1:
                yield way  # a list, or
            yield (*way, key.value)  # one key of a map
            return
    way = _way(node)
    if way is not None:
        yield way
        return
    for child in children(node):
        yield from reads(child)


def _way(node: Node) -> Path | None:
    names: list[str] = []
    here = node
    while (taken := step(here)) is not None:
        here, name = taken
        names.append(name)
    return (here.name, *reversed(names)) if isinstance(here, Name) else None
