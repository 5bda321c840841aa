"""`+ - * / %` of CEL: no coercion, 64 bits, an error where a number overflows.

Functions raise ArithmeticError; the compiler makes a Failure of it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from gateway.kernel.cel.times import duration, timestamp
from gateway.kernel.cel.values import INT_MAX, INT_MIN, UINT_MAX, Kind, Uint

Operator: TypeAlias = Callable[..., object]


def _int(value: int) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise OverflowError
    return value


def _uint(value: int) -> Uint:
    if not 0 <= value <= UINT_MAX:
        raise OverflowError
    return Uint(value)


def _divide(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return _int(quotient if (left < 0) is (right < 0) else -quotient)


def _remainder(left: int, right: int) -> int:
    if left == INT_MIN and right == -1:
        raise OverflowError
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def _divide_doubles(left: float, right: float) -> float:
    """IEEE 754: by zero is infinite, or not a number."""
    try:
        return left / right
    except ZeroDivisionError:
        if left != left or left == 0:
            return float("nan")
        negative = (left < 0) is not str(right).startswith("-")
        return float("-inf") if negative else float("inf")


def _joined(left: Sequence[object], right: Sequence[object]) -> list[object]:
    return [*left, *right]


_INT, _UINT, _DOUBLE, _STRING, _BYTES = Kind.INT, Kind.UINT, Kind.DOUBLE, Kind.STRING, Kind.BYTES
_TIME, _SPAN = Kind.TIMESTAMP, Kind.DURATION

# By operator and the kinds of both sides: the kind of the result, and what computes it.
TABLE: dict[tuple[str, Kind, Kind], tuple[Kind, Operator]] = {
    ("+", _INT, _INT): (_INT, lambda a, b: _int(a + b)),
    ("-", _INT, _INT): (_INT, lambda a, b: _int(a - b)),
    ("*", _INT, _INT): (_INT, lambda a, b: _int(a * b)),
    ("/", _INT, _INT): (_INT, _divide),
    ("%", _INT, _INT): (_INT, _remainder),
    ("+", _UINT, _UINT): (_UINT, lambda a, b: _uint(int(a) + int(b))),
    ("-", _UINT, _UINT): (_UINT, lambda a, b: _uint(int(a) - int(b))),
    ("*", _UINT, _UINT): (_UINT, lambda a, b: _uint(int(a) * int(b))),
    ("/", _UINT, _UINT): (_UINT, lambda a, b: _uint(int(a) // int(b))),
    ("%", _UINT, _UINT): (_UINT, lambda a, b: _uint(int(a) % int(b))),
    ("+", _DOUBLE, _DOUBLE): (_DOUBLE, lambda a, b: a + b),
    ("-", _DOUBLE, _DOUBLE): (_DOUBLE, lambda a, b: a - b),
    ("*", _DOUBLE, _DOUBLE): (_DOUBLE, lambda a, b: a * b),
    ("/", _DOUBLE, _DOUBLE): (_DOUBLE, _divide_doubles),
    ("+", _STRING, _STRING): (_STRING, lambda a, b: a + b),
    ("+", _BYTES, _BYTES): (_BYTES, lambda a, b: a + b),
    ("+", Kind.LIST, Kind.LIST): (Kind.LIST, _joined),
    ("+", _TIME, _SPAN): (_TIME, lambda a, b: timestamp(int(a) + int(b))),
    ("+", _SPAN, _TIME): (_TIME, lambda a, b: timestamp(int(a) + int(b))),
    ("-", _TIME, _SPAN): (_TIME, lambda a, b: timestamp(int(a) - int(b))),
    ("-", _TIME, _TIME): (_SPAN, lambda a, b: duration(int(a) - int(b))),
    ("+", _SPAN, _SPAN): (_SPAN, lambda a, b: duration(int(a) + int(b))),
    ("-", _SPAN, _SPAN): (_SPAN, lambda a, b: duration(int(a) - int(b))),
}

NEGATED: dict[Kind, Operator] = {
    _INT: lambda a: _int(-a),
    _DOUBLE: lambda a: -a,
    _SPAN: lambda a: duration(-int(a)),
}
