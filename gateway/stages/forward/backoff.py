"""How long to wait before a request is sent again.

Rule: anything up to a bound that doubles with each try (Envoy's fully jittered back-off), so that what failed together
does not return together; what the backend asks for (RFC 9110 section 10.2.3) comes on top.
Invariant: a field that cannot be read asks for nothing.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime
from random import random

from gateway.model.request import RawHeaders

_BASE = 0.025  # seconds
_LONGEST = 0.25


def backoff(tries: int) -> float:
    """Seconds to wait after so many tries."""
    return random() * min(_BASE * ((1 << tries) - 1), _LONGEST)  # noqa: S311 - no secret hangs on it


def retry_after(headers: RawHeaders, now: float) -> float:
    """Seconds that an answer's Retry-After asks for; 0 where it says nothing. `now`: seconds since the epoch."""
    for name, value in headers:
        if name.lower() == b"retry-after":
            return _seconds(value.decode("latin-1").strip(), now)
    return 0.0


def _seconds(text: str, now: float) -> float:
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now)
