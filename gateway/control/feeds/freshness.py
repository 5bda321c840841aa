"""How long an answer is fresh, by its own word (RFC 9111 section 4.2).

Rule: only a number that can be read counts; who asked holds it within bounds.
Invariant: never raises: a field of another's server may hold anything.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_MAX_AGE = re.compile(r"max-age=\"?(\d{1,9})\"?\Z")


def lifetime(headers: Mapping[str, str]) -> float | None:
    """Seconds for which it may be used from now on; 0 where it may not be kept; None where it does not say."""
    directives = [part.strip().lower() for part in headers.get("cache-control", "").split(",")]
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    for directive in directives:
        if found := _MAX_AGE.match(directive):
            age = headers.get("age", "0").strip()
            return max(0.0, float(found[1]) - (float(age) if age.isdecimal() and len(age) < 10 else 0.0))
    if "expires" in headers:
        begins, ends = _date(headers.get("date", "")), _date(headers["expires"])
        return max(0.0, ends - begins) if begins is not None and ends is not None else 0.0
    return None


def _date(text: str) -> float | None:
    """Seconds since the epoch."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
