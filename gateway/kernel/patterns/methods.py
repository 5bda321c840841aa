"""The methods that a request may have: those that the parser knows, written in upper case.

`*` in the file is each of them but TRACE and CONNECT, which no route takes (RFC 9110 sections 9.3.6 and 9.3.8).
Source: llhttp's HTTP methods; PRI belongs to HTTP/2's preface and is never a request.
"""

from collections.abc import Sequence
from difflib import get_close_matches

# fmt: off
KNOWN = frozenset((
    "ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "M-SEARCH", "MERGE",
    "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH", "POST", "PROPFIND", "PROPPATCH",
    "PURGE", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK",
    "UNLOCK", "UNSUBSCRIBE",
))
# fmt: on
NEVER = frozenset({"TRACE", "CONNECT"})
SERVED = KNOWN - NEVER


def compile_methods(methods: Sequence[str]) -> frozenset[str]:
    """The methods that `methods` stands for, `*` spelled out. Raises ValueError."""
    found: set[str] = set()
    for method in methods:
        if method == "*":
            found |= SERVED
        elif method in NEVER:
            raise ValueError(f'"{method}" is never served: remove it')
        elif method in KNOWN:
            found.add(method)
        elif method.upper() in KNOWN:
            raise ValueError(f'methods are upper case: write "{method.upper()}"')
        else:
            near = get_close_matches(method.upper(), sorted(SERVED), 1)
            hint = f'did you mean "{near[0]}"?' if near else 'write one like "GET", or "*" for every one'
            raise ValueError(f'"{method}" is no method that the parser knows: {hint}')
    return frozenset(found)
