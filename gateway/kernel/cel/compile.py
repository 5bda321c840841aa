"""An expression into one closure over a request, typed as far as its types are known.

Rule: what can be known wrong is refused here, with its line and column; what cannot is a Failure when it runs.
Invariant: the work is bounded by the length of the expression and of what it reads, times 256 for `exists` and `all`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Generic, NoReturn, cast

from gateway.kernel.cel import operations
from gateway.kernel.cel.arithmetic import NEGATED, TABLE
from gateway.kernel.cel.environment import Field, Record, Run, Subject, Variables
from gateway.kernel.cel.functions import FUNCTIONS, LEFT_OUT, TIME_PARTS
from gateway.kernel.cel.macros import LONGEST, macro, within
from gateway.kernel.cel.operations import NOT_CONSTANT, ORDERS, Code
from gateway.kernel.cel.parse import parse
from gateway.kernel.cel.syntax import (
    Call,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Operation,
    Path,
    Select,
    Span,
    reads,
    step,
)
from gateway.kernel.cel.tokens import invalid, position
from gateway.kernel.cel.values import NUMBERS, ORDERED, Failure, Kind, kind_of

_ABSENT = object()
_MACROS = ("exists", "all")


@dataclass(frozen=True, slots=True)
class Part(Generic[Subject]):
    """One of the conditions that `&&` joins at the top of an expression, for whoever explains it."""

    text: str
    run: Run[Subject]


@dataclass(frozen=True, slots=True)
class Program(Generic[Subject]):
    """A compiled condition."""

    text: str
    run: Run[Subject]  # True, False or a Failure
    parts: Callable[[], tuple[Part[Subject], ...]]  # made when they are asked for
    reads: frozenset[Path]  # the variables that it may read, each by its whole way


def compile_condition(text: str, variables: Variables[Subject]) -> Program[Subject]:
    """An expression that is true or false. Raises CelInvalid."""
    node = parse(text)
    compiler = _Compiler(text, variables)
    run = compiler.condition(node)
    conjuncts = node.operands if isinstance(node, Operation) and node.operator == "&&" else (node,)

    def parts() -> tuple[Part[Subject], ...]:
        return tuple(Part(text[each.span.start : each.span.end], compiler.condition(each)) for each in conjuncts)

    return Program(text, run, parts, frozenset(reads(node)))


class _Compiler(Generic[Subject]):
    def __init__(self, text: str, variables: Variables[Subject], *, in_macro: bool = False) -> None:
        self._text = text
        self._variables = variables
        self._in_macro = in_macro

    def condition(self, node: Node) -> Run[Subject]:
        """What must be a boolean."""
        code = self._code(node)
        self._want(node, code, frozenset((Kind.BOOL,)), "a condition is true or false")
        if code.kind is Kind.BOOL:
            return code.run
        run, failure = code.run, self._failure(node.span, "the condition is neither true nor false")

        def test(subject: Subject) -> object:
            found = run(subject)
            return found if found is True or found is False or type(found) is Failure else failure

        return test

    def _refuse(self, span: Span, message: str) -> NoReturn:
        invalid(self._text, span.at, message)

    def _failure(self, span: Span, message: str) -> Failure:
        return Failure(message, *position(self._text, span.at))

    def _want(self, node: Node, code: Code[Subject], kinds: frozenset[Kind], message: str) -> None:
        if code.kind is not Kind.ANY and code.kind not in kinds:
            self._refuse(node.span, f"{message}: this is {code.kind.value}")

    def _code(self, node: Node) -> Code[Subject]:
        found = self._resolved(node)
        if isinstance(found, Record):
            return Code(Kind.MAP, found.whole, sure=True)
        return found

    def _folded(self, node: Node, code: Code[Subject], operands: Sequence[Code[Subject]]) -> Code[Subject]:
        """What hangs on constants alone is computed once, and refused where it always fails."""
        if any(each.constant is NOT_CONSTANT for each in operands):
            return code
        value = code.run(cast("Subject", None))  # it reads nothing
        if isinstance(value, Failure):
            self._refuse(node.span, f"this always fails: {value.message}")
        return Code(kind_of(value), lambda _: value, sure=True, constant=value)

    def _resolved(self, node: Node) -> Record[Subject] | Code[Subject]:
        match node:
            case Literal(value=value):
                return Code(kind_of(value), lambda _: value, sure=True, constant=value)
            case Name():
                return self._variable(node)
            case Select() | Index():
                return self._member(node)
            case Call():
                return self._call(node)
            case Operation():
                return self._operation(node)
            case ListOf(items=items):
                codes = [self._code(each) for each in items]
                return self._folded(node, Code(Kind.LIST, operations.collected([each.run for each in codes])), codes)
            case MapOf(items=items, keys=keys):
                codes = [self._code(each) for each in items]
                made = operations.collected([each.run for each in codes], keys)
                return self._folded(node, Code(Kind.MAP, made), codes)

    def _variable(self, node: Name) -> Record[Subject] | Code[Subject]:
        found = self._variables.get(node.name)
        if found is None:
            close = get_close_matches(node.name, self._variables, 1)
            known = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self._variables)}"
            self._refuse(node.span, f"there is no {node.name!r} here: {known}")
        return self._field(found, node.span, node.name)

    def _field(self, found: Field[Subject] | Record[Subject], span: Span, name: str) -> Record[Subject] | Code[Subject]:
        if isinstance(found, Record):
            return found
        return Code(found.kind, found.make(self._failure(span, f"{name} is absent")), sure=found.always)

    def _declared(self, record: Record[Subject], name: str, span: Span) -> Field[Subject] | Record[Subject]:
        try:
            return record.member(name)
        except ValueError as error:
            close = get_close_matches(name, record.names, 1)
            self._refuse(span, f"{str(error).partition(':')[0]}: did you mean {close[0]!r}?" if close else str(error))

    def _member(self, node: Select | Index) -> Record[Subject] | Code[Subject]:
        operand = self._resolved(node.operand)
        taken = step(node)
        shown = self._text[node.span.start : node.span.end]
        if isinstance(operand, Record):
            if taken is None:
                self._refuse(node.span, "names are literals here: write the name in quotes")
            return self._field(self._declared(operand, taken[1], node.span), node.span, shown)
        wrong = self._failure(node.span, f"{self._source(node.operand)} has no members")
        if taken is not None:
            self._want(node.operand, operand, frozenset((Kind.MAP,)), "only a map has members")
            absent = self._failure(node.span, f"{shown} is absent")
            return Code(Kind.ANY, operations.member(operand.run, taken[1], wrong, absent))
        return self._item(cast("Index", node), operand, wrong)

    def _item(self, node: Index, operand: Code[Subject], wrong: Failure) -> Code[Subject]:
        key = self._code(node.key)
        if key.kind not in (Kind.INT, Kind.UINT):
            self._refuse(node.span, "names are literals here, and positions are ints")
        self._want(node.operand, operand, frozenset((Kind.LIST,)), "only a list has positions")
        outside = self._failure(node.span, f"{self._source(node)} is absent")
        code: Code[Subject] = Code(Kind.ANY, operations.item(operand.run, key.run, wrong, outside))
        return self._folded(node, code, (operand, key))

    def _source(self, node: Node) -> str:
        return self._text[node.span.start : node.span.end]

    def _operation(self, node: Operation) -> Code[Subject]:
        symbol = node.operator
        if symbol in ("&&", "||", "!", "?:"):
            return self._logic(node)
        if symbol == "-" and len(node.operands) == 1:
            return self._negative(node)
        left_node, right_node = node.operands
        if symbol == "in":
            return self._in(node, left_node, right_node)
        left, right = self._code(left_node), self._code(right_node)
        known = left.kind is not Kind.ANY and right.kind is not Kind.ANY
        both = f"{left.kind.value} and {right.kind.value}"
        numbers = left.kind in NUMBERS and right.kind in NUMBERS
        wrong = self._failure(node.span, f"{symbol!r} cannot take values of these types")
        if symbol in ("==", "!="):
            if known and left.kind is not right.kind and not numbers:
                self._refuse(node.span, f"{both} are never equal")
            run = operations.equality(left, right, wanted=symbol == "==")
            return self._folded(node, Code(Kind.BOOL, run, sure=left.sure and right.sure), (left, right))
        if symbol in ORDERS:
            unordered = {left.kind, right.kind} - ORDERED - {Kind.ANY}
            if unordered or (known and not numbers and left.kind is not right.kind):
                self._refuse(node.span, f"{both} have no order")
            run = operations.order(left, right, symbol, wrong)
            return self._folded(node, Code(Kind.BOOL, run, sure=left.sure and right.sure and known), (left, right))
        found = TABLE.get((symbol, left.kind, right.kind))
        if known and found is None:
            self._refuse(node.span, f"{symbol!r} does not go with {both}: convert one of them")
        failed = self._failure(node.span, f"{symbol!r} overflows or divides by zero")
        run = operations.arithmetic(left.run, right.run, symbol, wrong, failed)
        return self._folded(node, Code(Kind.ANY if found is None else found[0], run), (left, right))

    def _logic(self, node: Operation) -> Code[Subject]:
        codes = [self._code(each) for each in node.operands]
        asked = 1 if node.operator == "?:" else len(codes)
        for each, code in zip(node.operands[:asked], codes, strict=False):
            self._want(each, code, frozenset((Kind.BOOL,)), f"{node.operator!r} takes booleans")
        failures = [self._failure(each.span, "it is neither true nor false") for each in node.operands]
        runs = [code.run for code in codes]
        if node.operator == "?:":
            kind = codes[1].kind if codes[1].kind is codes[2].kind else Kind.ANY
            return self._folded(node, Code(kind, operations.choice(runs[0], runs[1], runs[2], failures[0])), codes)
        if node.operator == "!":
            code = Code(Kind.BOOL, operations.negation(runs[0], failures[0]), sure=codes[0].sure)
            return self._folded(node, code, codes)
        run = operations.junction(runs, failures, decides=node.operator == "||")
        return self._folded(node, Code(Kind.BOOL, run, sure=all(code.sure for code in codes)), codes)

    def _negative(self, node: Operation) -> Code[Subject]:
        code = self._code(node.operands[0])
        self._want(node, code, frozenset(NEGATED), "'-' takes an int, a double or a duration")
        wrong = self._failure(node.span, "'-' cannot take a value of this type")
        failed = self._failure(node.span, "'-' overflows")
        run = operations.applied(
            lambda value: NEGATED[kind_of(value)](value), (code.run,), (frozenset(NEGATED),), wrong, failed
        )
        return self._folded(node, Code(code.kind, run), (code,))

    def _in(self, node: Operation, left: Node, right: Node) -> Code[Subject]:
        container = self._resolved(right)
        if isinstance(container, Record):
            if not isinstance(left, Literal) or not isinstance(left.value, str):
                self._refuse(left.span, "names are literals here: write the name in quotes")
            return self._has(container, left.value, left.span)
        self._want(right, container, frozenset((Kind.LIST, Kind.MAP)), "'in' looks into a list or a map")
        key = self._code(left)
        failure = self._failure(node.span, f"{self._source(right)} is neither a list nor a map")
        run = operations.inclusion(key, container, failure)
        return self._folded(node, Code(Kind.BOOL, run), (key, container))

    def _has(self, record: Record[Subject], name: str, span: Span) -> Code[Subject]:
        found = self._declared(record, name, span)
        if isinstance(found, Record):
            whole = found.whole
            return Code(Kind.BOOL, lambda subject: bool(whole(subject)), sure=True)
        make = found.make(_ABSENT)
        return Code(Kind.BOOL, lambda subject: make(subject) is not _ABSENT, sure=True)

    def _call(self, node: Call) -> Code[Subject]:
        if node.name == "has" and node.receiver is None:
            return self._presence(node)
        if node.name in _MACROS and node.receiver is not None:
            return self._macro(node, node.receiver)
        function = FUNCTIONS.get(node.name) or TIME_PARTS.get(node.name)
        if function is None or not (function.free if node.receiver is None else function.method):
            self._unknown(node)
        arguments = node.arguments if node.receiver is None else (node.receiver, *node.arguments)
        least = 1 if node.name in TIME_PARTS else len(function.takes)
        if not least <= len(arguments) <= len(function.takes):
            written = len(function.takes) - (node.receiver is not None)
            self._refuse(node.span, f"{node.name}() takes {written or 'no'} argument{'s' * (written != 1)}")
        codes = [self._code(each) for each in arguments]
        for each, code, kinds in zip(arguments, codes, function.takes, strict=False):
            wanted = " or ".join(sorted(kind.value for kind in kinds))
            self._want(each, code, kinds, f"{node.name}() takes {wanted}")
        wrong = self._failure(node.span, f"{node.name}() cannot take a value of this type")
        failed = self._failure(node.span, f"{node.name}() has no result for this value")
        if node.name == "dyn":
            return replace(codes[0], kind=Kind.ANY, sure=False)
        argument = codes[1].constant if len(codes) == 2 else None
        if function.gives is Kind.BOOL and isinstance(argument, str):
            run = operations.of_text(function.run, codes[0], argument, wrong)
            return self._folded(node, Code(Kind.BOOL, run, sure=codes[0].sure), codes)
        run = operations.applied(
            function.run, [code.run for code in codes], function.takes[: len(codes)], wrong, failed
        )
        return self._folded(node, Code(function.gives, run), codes)

    def _unknown(self, node: Call) -> NoReturn:
        if node.name in LEFT_OUT:
            self._refuse(node.span, f"{node.name}() is not in this subset of CEL: {LEFT_OUT[node.name]}")
        known = [*FUNCTIONS, *TIME_PARTS, *_MACROS, "has"]
        close = get_close_matches(node.name, known, 1)
        if node.name in known:
            self._refuse(node.span, f"{node.name}() is not written like this")
        self._refuse(
            node.span, f"there is no function {node.name}()" + (f": did you mean {close[0]}()?" if close else "")
        )

    def _presence(self, node: Call) -> Code[Subject]:
        taken = step(node.arguments[0]) if len(node.arguments) == 1 else None
        if taken is None:
            self._refuse(node.span, "has() takes a member: has(claims.tenant)")
        holder = self._resolved(taken[0])
        if isinstance(holder, Record):
            return self._has(holder, taken[1], node.arguments[0].span)
        self._want(taken[0], holder, frozenset((Kind.MAP,)), "only a map has members")
        wrong = self._failure(node.span, f"{self._source(taken[0])} has no members")
        return Code(Kind.BOOL, operations.has_member(holder.run, taken[1], wrong))

    def _macro(self, node: Call, receiver: Node) -> Code[Subject]:
        if self._in_macro:
            self._refuse(node.span, f"{node.name}() does not stand inside exists() or all(): the work would multiply")
        variable = node.arguments[0] if len(node.arguments) == 2 else None
        if not isinstance(variable, Name):
            self._refuse(node.span, f"write LIST.{node.name}(NAME, CONDITION)")
        body = node.arguments[1]
        if variable.name in self._variables:
            self._refuse(variable.span, f"{variable.name!r} has a meaning already: choose another name")
        items = self._code(receiver)
        self._want(receiver, items, frozenset((Kind.LIST,)), f"{node.name}() goes over a list")
        inner = _Compiler(self._text, within(self._variables, variable.name), in_macro=True).condition(body)
        wrong = self._failure(node.span, f"{self._source(receiver)} is no list")
        long = self._failure(node.span, f"{self._source(receiver)} has more than {LONGEST} elements")
        return Code(Kind.BOOL, macro(items.run, inner, wrong, long, decides=node.name == "exists"))
