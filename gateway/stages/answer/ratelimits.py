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
    if len(limits) == 1:  # nearly always
        only = limits[0]
        policy, name = _told(only.name, only.quota, only.window)
        state = f"{name}{only.remaining};t={only.reset}" if only.window else f"{name}{only.remaining}"
        return [policy, (b"ratelimit", state.encode())]
    limits = list({limit.name: limit for limit in limits}.values())
    policies = ", ".join([_policy(limit.name, limit.quota, limit.window) for limit in limits])
    states = ", ".join([_state(limit) for limit in limits])
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", states.encode())]


@lru_cache(_REMEMBERED)
def _told(name: str, quota: int, window: int) -> tuple[tuple[bytes, bytes], str]:
    """Of one limit: its policy's field, and how its state begins."""
    return (b"ratelimit-policy", _policy(name, quota, window).encode()), f"{_string(name)};r="


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
