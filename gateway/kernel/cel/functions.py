"""The functions of the language, by name: what each takes, gives and does.

Rule: each works in time linear in its argument; `matches()` is not among them, for Python's patterns backtrack.
Functions raise ValueError or ArithmeticError for what has no result.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.kernel.cel import times
from gateway.kernel.cel.values import INT_MAX, INT_MIN, UINT_MAX, Duration, Kind, Timestamp, Uint

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_FRACTION = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


@dataclass(frozen=True, slots=True)
class Function:
    """One function; as a method the receiver is its first argument."""

    takes: tuple[frozenset[Kind], ...]  # for each argument the kinds that it may have
    gives: Kind
    run: Callable[..., object]
    method: bool  # may be written RECEIVER.name(…)
    free: bool  # may be written name(…)


def _to_int(value: object) -> int:
    if isinstance(value, Timestamp):
        return int(value) // 1_000_000_000
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value):
            raise ValueError
        value = int(value)
    if not isinstance(value, int | float) or value != value or not INT_MIN - 1 < value < INT_MAX + 1:
        raise OverflowError
    return int(value)


def _to_uint(value: object) -> Uint:
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value) or value[0] in "+-":
            raise ValueError
        value = int(value)
    if not isinstance(value, int | float) or value != value or not 0 <= value < UINT_MAX + 1:
        raise OverflowError
    return Uint(value)


def _to_double(value: object) -> float:
    if isinstance(value, str) and not _FRACTION.fullmatch(value):
        raise ValueError
    if isinstance(value, str | int | float):
        return float(value)
    raise ValueError


def _to_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError


def _to_string(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Timestamp):
        return times.timestamp_text(value)
    if isinstance(value, Duration):
        return times.duration_text(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    return str(value)


def _to_timestamp(value: object) -> Timestamp:
    if isinstance(value, Timestamp):
        return value
    if isinstance(value, str):
        return times.parse_timestamp(value)
    if isinstance(value, int):
        return times.timestamp(value * 1_000_000_000)
    raise ValueError


def _to_duration(value: object) -> Duration:
    return times.parse_duration(value) if isinstance(value, str) else Duration(_to_int(value))


def _size(value: Sequence[object]) -> int:
    return len(value)


def _part(name: str) -> Callable[..., object]:
    unit = times.UNITS.get(name)

    def run(value: Timestamp | Duration, where: str = "UTC") -> int:
        if isinstance(value, Timestamp):
            return times.part(name, value, times.zone(where))
        if unit is None or where != "UTC":
            raise ValueError
        return unit(value)

    return run


def _kinds(*kinds: Kind) -> frozenset[Kind]:
    return frozenset(kinds)


_STRING = _kinds(Kind.STRING)
_ANYTHING = frozenset(Kind)
_SIZED = _kinds(Kind.STRING, Kind.BYTES, Kind.LIST, Kind.MAP)
_NUMBER = (Kind.INT, Kind.UINT, Kind.DOUBLE)


def _conversion(gives: Kind, run: Callable[..., object], *kinds: Kind) -> Function:
    return Function((_kinds(*kinds),), gives, run, method=False, free=True)


def _text(run: Callable[..., object]) -> Function:
    return Function((_STRING, _STRING), Kind.BOOL, run, method=True, free=False)


FUNCTIONS: dict[str, Function] = {
    "size": Function((_SIZED,), Kind.INT, _size, method=True, free=True),
    "startsWith": _text(str.startswith),
    "endsWith": _text(str.endswith),
    "contains": _text(str.__contains__),
    "int": _conversion(Kind.INT, _to_int, *_NUMBER, Kind.STRING, Kind.TIMESTAMP),
    "uint": _conversion(Kind.UINT, _to_uint, *_NUMBER, Kind.STRING),
    "double": _conversion(Kind.DOUBLE, _to_double, *_NUMBER, Kind.STRING),
    "bool": _conversion(Kind.BOOL, _to_bool, Kind.BOOL, Kind.STRING),
    "string": _conversion(
        Kind.STRING, _to_string, *_NUMBER, Kind.STRING, Kind.BYTES, Kind.BOOL, Kind.TIMESTAMP, Kind.DURATION
    ),
    "bytes": _conversion(
        Kind.BYTES, lambda value: value if isinstance(value, bytes) else value.encode(), Kind.STRING, Kind.BYTES
    ),
    "timestamp": _conversion(Kind.TIMESTAMP, _to_timestamp, Kind.STRING, Kind.INT, Kind.TIMESTAMP),
    "duration": _conversion(Kind.DURATION, _to_duration, Kind.STRING, Kind.DURATION),
    "dyn": Function((_ANYTHING,), Kind.ANY, lambda value: value, method=False, free=True),
}
TIME_PARTS: dict[str, Function] = {
    name: Function(
        (_kinds(Kind.TIMESTAMP, *((Kind.DURATION,) if name in times.UNITS else ())), _STRING),
        Kind.INT,
        _part(name),
        method=True,
        free=False,
    )
    for name in times.PARTS
}  # the second argument, a time zone, may be left out
LEFT_OUT: dict[str, str] = {
    "matches": "patterns are not part of it, for they can take without bound: use startsWith, endsWith, contains or in",
    "map": "only exists and all go over a list",
    "filter": "only exists and all go over a list",
    "exists_one": "only exists and all go over a list",
    "type": "types cannot be asked for",
}
