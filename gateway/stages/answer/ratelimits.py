"""RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers, structured fields).

Rule: one item a limit, in the order in which they were judged; of two states of one limit the later counts.
Invariant: only limits of the caller's own come here; shared ones would tell of others.
"""

from collections.abc import Sequence
from functools import lru_cache

from gateway.model.answer import OwnFields
from gateway.model.limit import LimitPolicy, LimitStatus, WrittenPolicy
from gateway.model.request import RawHeaders

_REMEMBERED = 1024  # names of the file's limits: more than one has
_SECONDS = tuple(map(str, range(3601)))  # a look here costs a sixth of writing a number anew
_BEYOND = len(_SECONDS)


def rate_limit_fields(limits: Sequence[LimitStatus]) -> RawHeaders:
    """The two fields."""
    limits = list({limit[0].name: limit for limit in limits}.values())
    policies = ", ".join([_policy(policy) for policy, _, _ in limits])
    states = ", ".join([_state(limit) for limit in limits])
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", states.encode())]


def of_one(request_id: str, limit: LimitStatus) -> OwnFields:
    """X-Request-Id, of which nothing may end a line, and the two fields of one limit, which is nearly always all."""
    policy, remaining, reset = limit
    told, between, begin = policy.written or _written(policy)
    if policy.window:
        state = f"{begin}{remaining};t={_SECONDS[reset] if reset < _BEYOND else reset}".encode()
    else:
        state = f"{begin}{remaining}".encode()
    named = request_id.encode()
    fields = OwnFields(((b"x-request-id", named), told, (b"ratelimit", state)))
    fields.lines = b"".join((b"x-request-id: ", named, between, state, b"\r\n"))
    return fields


def of_none(request_id: str) -> OwnFields:
    """X-Request-Id alone, of which nothing may end a line."""
    named = request_id.encode()
    fields = OwnFields(((b"x-request-id", named),))
    fields.lines = b"".join((b"x-request-id: ", named, b"\r\n"))
    return fields


def _written(policy: LimitPolicy) -> WrittenPolicy:
    """What hangs on the limit alone: nothing of it can end a line, for `_string` leaves no byte that could."""
    text = _policy(policy).encode()
    between = b"\r\nratelimit-policy: %b\r\nratelimit: " % text
    policy.written = made = (b"ratelimit-policy", text), between, f"{_string(policy.name)};r="
    return made


def _state(limit: LimitStatus) -> str:
    policy, remaining, reset = limit
    return f"{_string(policy.name)};r={remaining}" + (f";t={reset}" if policy.window else "")


def _policy(policy: LimitPolicy) -> str:
    unit = f"w={policy.window}" if policy.window else 'qu="concurrent-requests"'
    return f"{_string(policy.name)};q={policy.quota};{unit}"


@lru_cache(_REMEMBERED)
def _string(text: str) -> str:
    """A structured field's string (RFC 9651 section 3.3.3): printable ASCII, quotes and backslashes escaped."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(character if " " <= character <= "~" else "_" for character in text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text or "\\" in text else text
    return f'"{escaped}"'
