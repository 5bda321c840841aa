"""RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers, structured fields).

Rule: one item a limit, in the order in which they were judged; of two states of one limit the later counts.
Invariant: only limits of the caller's own come here; shared ones would tell of others.
"""

from collections.abc import Sequence
from functools import lru_cache

from gateway.model.limit import LimitStatus
from gateway.model.request import RawHeaders

_REMEMBERED = 1024  # limits of the file: more than one has


def rate_limit_fields(limits: Sequence[LimitStatus]) -> RawHeaders:
    """The two fields."""
    limits = list({limit.name: limit for limit in limits}.values())
    policies = ", ".join([_policy(limit.name, limit.quota, limit.window) for limit in limits])
    states = ", ".join([_state(limit) for limit in limits])
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", states.encode())]


def of_one(limit: LimitStatus) -> tuple[tuple[bytes, bytes], str, str]:
    """Of one limit, which is nearly always all: its policy's field, the begin of both as lines, and its state."""
    policy, begin, name = _told(limit.name, limit.quota, limit.window)
    return policy, begin, f"{name}{limit.remaining};t={limit.reset}" if limit.window else f"{name}{limit.remaining}"


@lru_cache(_REMEMBERED)
def _told(name: str, quota: int, window: int) -> tuple[tuple[bytes, bytes], str, str]:
    """What hangs on the limit alone: nothing of it can end a line, for `_string` leaves no byte that could."""
    policy = _policy(name, quota, window)
    begin = f"ratelimit-policy: {policy}\r\nratelimit: "
    return (b"ratelimit-policy", policy.encode()), begin, f"{_string(name)};r="


def _state(limit: LimitStatus) -> str:
    reset = f";t={limit.reset}" if limit.window else ""
    return f"{_string(limit.name)};r={limit.remaining}{reset}"


@lru_cache(_REMEMBERED)
def _policy(name: str, quota: int, window: int) -> str:
    unit = f"w={window}" if window else 'qu="concurrent-requests"'
    return f"{_string(name)};q={quota};{unit}"


@lru_cache(_REMEMBERED)
def _string(text: str) -> str:
    """A structured field's string (RFC 9651 section 3.3.3): printable ASCII, quotes and backslashes escaped."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(character if " " <= character <= "~" else "_" for character in text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text or "\\" in text else text
    return f'"{escaped}"'
