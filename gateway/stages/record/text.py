"""Text of audit lines: JSON strings and times.

Everything outside printable ASCII is escaped: no value can end its line, drive a terminal or fail to encode (CWE-117).
"""

from collections.abc import Callable
from json import JSONEncoder
from json.encoder import encode_basestring_ascii
from time import gmtime, strftime

from gateway.model.json import JSON

quote: Callable[[str], str] = encode_basestring_ascii  # a JSON string, its quotes included; ASCII

_LISTS = (list, tuple)
_encode = JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def quote_or_null(text: str | None) -> str:
    """A JSON string, or null."""
    return "null" if text is None else quote(text)


def json_text(value: JSON) -> str:
    """Any JSON value without spaces, ASCII. Only for values whose shape is not known; NaN becomes null."""
    try:
        if type(value) in _LISTS:
            try:
                return f"[{','.join(map(quote, value))}]"  # type: ignore[arg-type]  # of strings: the usual claim
            except TypeError:
                pass  # of something else
        return _encode(value)
    except (ValueError, TypeError, RecursionError):
        return "null"


class Stamp:
    """Times as RFC 3339 in UTC with microseconds; the seconds' text is made once a second."""

    __slots__ = ("_last", "_prefix", "_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""
        self._last = -1.0
        self._text = ""

    def __call__(self, now: float) -> str:
        """`now`: seconds since the epoch."""
        if now == self._last:  # the records of one tick share a reading of the clock
            return self._text
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second))
        self._last = now
        self._text = f"{self._prefix}{int((now - second) * 1e6):06d}Z"
        return self._text
