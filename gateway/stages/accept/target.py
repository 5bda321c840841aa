"""The request target: which form it has, and what it says (RFC 9112 section 3.2).

origin-form, absolute-form (which overrides Host for all that follows) and `*` for OPTIONS; authority-form for CONNECT.
What is returned is still raw: the path is normalised in one place, by the caller.
"""

from typing import TypeAlias

from gateway.model.reason import Reason
from gateway.model.refused import Refused

Target: TypeAlias = tuple[str | None, bytes, str | None]
"""Authority (of absolute-form and authority-form; None where Host says it), raw path without query (b"*" for the whole
server), query. A bare tuple: one is made per request and taken apart at once."""


def parse_target(method: str, target: bytes) -> Target:
    """Take a target apart. Raises Refused(BAD_REQUEST | AMBIGUOUS_PATH)."""
    if target[:1] == b"/":
        return _with_query(None, target)
    if target == b"*":
        if method != "OPTIONS":
            raise Refused(Reason.BAD_REQUEST, 'the target "*" is for OPTIONS only')
        return None, target, None
    if method == "CONNECT":
        return target.decode("latin-1"), b"/", None
    scheme, colon, rest = target.partition(b"://")
    if not colon or scheme.lower() not in (b"http", b"https"):
        raise Refused(Reason.BAD_REQUEST, "the target is neither a path nor an http or https URI")
    end = min(at if at >= 0 else len(rest) for at in (rest.find(b"/"), rest.find(b"?"), rest.find(b"#")))
    authority, tail = rest[:end].decode("latin-1"), rest[end:]
    if method == "OPTIONS" and not tail:
        return authority, b"*", None  # RFC 9112 section 3.2.4
    return _with_query(authority, tail if tail[:1] == b"/" else b"/" + tail)


def _with_query(authority: str | None, target: bytes) -> Target:
    if b"#" in target:
        raise Refused(Reason.AMBIGUOUS_PATH, "the target holds a fragment")
    at = target.find(b"?")
    if at < 0:
        return authority, target, None
    query = target[at + 1 :].decode("latin-1")
    if not query.isprintable() or " " in query:
        raise Refused(Reason.BAD_REQUEST, "the query holds a control byte or a space")
    return authority, target[:at], query
