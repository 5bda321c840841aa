"""What a request's head says about framing, target and host, judged before anything else reads it.

Rule: what two parsers could read differently is refused, never repaired (RFC 9112 sections 3.2, 6.1 and 6.3).
Invariant: pure; the verdict is the same whichever server carried the head.
"""

from functools import lru_cache
from ipaddress import IPv6Address

from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.request import RawHeaders, RequestHead

_JUDGED = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"))
_HOST_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
_LENGTH_DIGITS = 18  # below 2**63: no backend can wrap it round


@noun
class Framing:
    """A judged head, and what it asks of the connection."""

    head: RequestHead
    persistent: bool  # another request may follow on this connection
    expects: bool  # waits for 100 Continue


def judge(method: str, target: bytes, version: str, headers: RawHeaders) -> Framing:
    """Judge one head; `headers` have lower-case names. A fault stands in the head, the first that was found."""
    length: int | None = None
    ambiguous = chunked = upgrade = expects = False
    persistent = version != "1.0"
    hosts = 0
    host = b""
    for name, value in headers:
        if name not in _JUDGED:
            continue
        if name == b"host":
            hosts += 1
            host = value
        elif name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > _LENGTH_DIGITS:
                ambiguous = True
            else:
                length = int(value)
        elif name == b"transfer-encoding":
            # RFC 9112 section 6.1: an HTTP/1.0 sender cannot mean it; any other coding hides the message's end
            ambiguous = ambiguous or chunked or version != "1.1" or value.lower() != b"chunked"
            chunked = True
        elif name == b"connection":
            persistent = persistent and not _names(value, b"close")
        elif name == b"expect":
            expects = version != "1.0" and value.lower() == b"100-continue"
        else:
            upgrade = True
    fault: Reason | None = None
    if ambiguous or (chunked and length is not None):
        fault = Reason.AMBIGUOUS_FRAMING
    elif method == "CONNECT":
        fault = Reason.METHOD_NOT_ALLOWED
    elif not _names_host(hosts, host, version) or (target[:1] != b"/" and not _is_other_target(method, target)):
        fault = Reason.BAD_REQUEST
    elif upgrade:
        # RFC 9110 section 7.8 lets us ignore it; a front proxy may not, and would read our answer's body as a tunnel
        fault = Reason.UPGRADE_REFUSED
    has_body = chunked or bool(length) or (length is None and version not in ("1.0", "1.1"))
    head = RequestHead(method, target, version, headers, None if chunked else length, has_body, fault)
    return Framing(head, persistent, expects)


@lru_cache(maxsize=1024)
def is_authority(value: bytes) -> bool:
    """`host[:port]` as Host and absolute-form carry it: a name, an IPv4 address or an IPv6 address in brackets.

    Stricter than RFC 3986 section 3.2: no userinfo, no percent-encoding, no sub-delimiters, no empty port.
    """
    if value[:1] == b"[":
        address, bracket, after = value[1:].partition(b"]")
        if not bracket or not _is_ipv6(address) or after[:1] not in (b"", b":"):
            return False
        colon, port = after[:1], after[1:]
    else:
        name, colon, port = value.partition(b":")
        if not 0 < len(name) <= 255 or name.strip(_HOST_BYTES) or b".." in name or name[:1] == b".":
            return False
    return not colon or (port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535)


def authority_of(target: bytes) -> bytes:
    """The authority of an absolute-form target; b"" for the other forms."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return b""
    for end in (b"/", b"?", b"#"):
        rest = rest.partition(end)[0]
    return rest


def _names_host(hosts: int, host: bytes, version: str) -> bool:
    """RFC 9112 section 3.2: exactly one Host; HTTP/1.0 may go without."""
    return is_authority(host) if hosts == 1 else not hosts and version == "1.0"


def _is_other_target(method: str, target: bytes) -> bool:
    """RFC 9112 section 3.2: `*` for OPTIONS, or absolute-form; authority-form belongs to CONNECT alone."""
    if target == b"*":
        return method == "OPTIONS"
    return is_authority(authority_of(target))


def _is_ipv6(address: bytes) -> bool:
    try:
        return b"%" not in address and bool(IPv6Address(address.decode("ascii")).packed)
    except ValueError:
        return False


def _names(value: bytes, token: bytes) -> bool:
    """Whether a comma-separated field names the token."""
    return any(part.strip() == token for part in value.lower().split(b","))
