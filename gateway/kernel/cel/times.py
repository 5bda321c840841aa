"""Timestamps and durations of CEL (RFC 3339; Go's durations), and what can be taken out of them.

Rule: whole nanoseconds; what is outside years 1 to 9999 is an error, as in the specification.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.kernel.cel.values import INT_MAX, INT_MIN, Duration, Timestamp

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = int((datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * _SECOND
_LAST = int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds()) * _SECOND + _SECOND - 1
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_UNITS = {"h": 3600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND, "ms": 1_000_000, "us": 1000, "µs": 1000, "ns": 1}
_DURATION = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,18}))?(h|ms|us|µs|ns|m|s)", re.ASCII)
_OFFSET = re.compile(r"([+-]?)([0-9]{2}):([0-9]{2})", re.ASCII)


def timestamp(nanoseconds: int) -> Timestamp:
    """Raises OverflowError."""
    if not _FIRST <= nanoseconds <= _LAST:
        raise OverflowError
    return Timestamp(nanoseconds)


def duration(nanoseconds: int) -> Duration:
    """Raises OverflowError."""
    if not INT_MIN <= nanoseconds <= INT_MAX:
        raise OverflowError
    return Duration(nanoseconds)


def timestamp_of_seconds(seconds: float) -> Timestamp:
    """Seconds since the epoch, as the clock gives them; what lies beyond the ends of time is at its end."""
    return Timestamp(int(max(_FIRST // _SECOND, min(_LAST // _SECOND, seconds)) * 1_000_000) * 1000)


def parse_timestamp(text: str) -> Timestamp:
    """Raises ValueError."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise ValueError
    day, clock, fraction, zone = found.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    try:
        return timestamp(seconds * _SECOND + int((fraction or "0").ljust(9, "0")))
    except OverflowError:
        raise ValueError from None


def parse_duration(text: str) -> Duration:
    """`1h30m`, `-1.5s`. Raises ValueError."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    while at < len(rest):
        found = _DURATION.match(rest, at)
        if found is None:
            raise ValueError
        unit = _UNITS[found[3]]
        total += int(found[1]) * unit
        if found[2]:
            total += int(found[2]) * unit // 10 ** len(found[2])
        at = found.end()
    if not rest:
        raise ValueError
    try:
        return duration(sign * total)
    except OverflowError:
        raise ValueError from None


def timestamp_text(moment: Timestamp) -> str:
    """RFC 3339, in UTC."""
    seconds, rest = divmod(moment, _SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%m-%dT%H:%M:%S")
    year = (_EPOCH + timedelta(seconds=seconds)).year
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{year:04d}-{text}{fraction}Z"


def duration_text(span: Duration) -> str:
    """Seconds, with a fraction where there is one: `5400s`."""
    seconds, rest = divmod(abs(span), _SECOND)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if span < 0 else ''}{seconds}{fraction}s"


def observed_at(text: str, otherwise: float) -> float:
    """An RFC 3339 text as seconds since the epoch; `otherwise` for what is none."""
    try:
        return parse_timestamp(text) / _SECOND
    except ValueError:
        return otherwise


@lru_cache(256)
def zone(name: str) -> tzinfo:
    """An IANA name, or an offset like `+02:00`. Raises ValueError."""
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-span if offset[1] == "-" else span)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError from None


def _in_zone(moment: Timestamp, where: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=moment // 1000)).astimezone(where)


# By name: out of a timestamp in a time zone. Months, days of the week and year count from 0, as in JavaScript.
PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda moment: moment.year,
    "getMonth": lambda moment: moment.month - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
    "getHours": lambda moment: moment.hour,
    "getMinutes": lambda moment: moment.minute,
    "getSeconds": lambda moment: moment.second,
    "getMilliseconds": lambda moment: moment.microsecond // 1000,
}


def part(name: str, moment: Timestamp, where: tzinfo) -> int:
    """One of PARTS. Raises OverflowError at the ends of time."""
    return PARTS[name](_in_zone(moment, where))


# By name: a duration as a whole number of these; milliseconds are those of its last second.
UNITS: dict[str, Callable[[Duration], int]] = {
    "getHours": lambda span: _toward_zero(span, 3600 * _SECOND),
    "getMinutes": lambda span: _toward_zero(span, 60 * _SECOND),
    "getSeconds": lambda span: _toward_zero(span, _SECOND),
    "getMilliseconds": lambda span: _toward_zero(span, 1_000_000) % 1000,
}


def _toward_zero(span: int, unit: int) -> int:
    return span // unit if span >= 0 else -(-span // unit)
