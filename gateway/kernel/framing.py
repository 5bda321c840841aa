"""What a request's head says about where the message ends and what becomes of the connection.

Rule: what two parsers could read differently is refused, never repaired (RFC 9112 sections 3.2, 6.1 and 6.3).
Invariant: pure; the verdict is the same whichever server carried the head. Host's and the target's grammar are judged
by `accept`, which reads them.
"""

from base64 import b64decode

from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.request import RawHeaders, RequestHead, UpgradeHead

_JUDGED = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"))
_KEY, _NONCE = 24, 16  # bytes of a Sec-WebSocket-Key, as text and decoded
_LENGTH_DIGITS = 18  # below 2**63: no backend can wrap it round


@noun
class Framing:
    """A judged head, and what it asks of the connection."""

    head: RequestHead
    persistent: bool  # another request may follow on this connection
    expects: bool  # waits for 100 Continue


def judge(method: str, target: bytes, version: str, headers: RawHeaders) -> Framing:
    """Judge one head; `headers` have lower-case names. A fault stands in the head, the gravest that was found."""
    length: int | None = None
    ambiguous = chunked = upgrade = expects = False
    persistent = version != "1.0"
    hosts = 0
    for name, value in headers:
        if name not in _JUDGED:
            continue
        if name == b"host":
            hosts += 1
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
            persistent = persistent and not names_token(value, b"close")
        elif name == b"expect":
            expects = version != "1.0" and value.lower() == b"100-continue"
        else:
            upgrade = True
    fault: Reason | None = None
    if ambiguous or (chunked and length is not None):
        fault = Reason.AMBIGUOUS_FRAMING
    elif method == "CONNECT":
        fault = Reason.METHOD_NOT_ALLOWED  # what follows would be a tunnel's bytes, no request
    elif hosts != 1 and (hosts or version != "1.0"):
        fault = Reason.BAD_REQUEST  # two hosts: two parsers would serve two sites
    elif upgrade:
        if method == "GET" and version == "1.1" and length is None and not chunked and _is_websocket(headers):
            return Framing(UpgradeHead(method, target, version, headers, None, False), persistent=False, expects=False)
        # RFC 9110 section 7.8 lets us ignore it; a front proxy may not, and would take what follows for a tunnel
        fault = Reason.UPGRADE_REFUSED
    has_body = chunked or bool(length) or (length is None and version not in ("1.0", "1.1"))
    head = RequestHead(method, target, version, headers, None if chunked else length, has_body, fault)
    return Framing(head, persistent, expects)


def _is_websocket(headers: RawHeaders) -> bool:
    """Whether it is the opening handshake of a WebSocket and nothing else (RFC 6455 section 4.2.1)."""
    fields: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        fields.setdefault(name, []).append(value)
    keys = fields.get(b"sec-websocket-key", [])
    return (
        [value.lower() for value in fields[b"upgrade"]] == [b"websocket"]
        and any(names_token(value, b"upgrade") for value in fields.get(b"connection", ()))
        and fields.get(b"sec-websocket-version") == [b"13"]
        and b"expect" not in fields
        and len(keys) == 1
        and len(keys[0]) == _KEY
        and _is_base64(keys[0])
    )


def _is_base64(key: bytes) -> bool:
    try:
        return len(b64decode(key, validate=True)) == _NONCE
    except ValueError:
        return False


def names_token(value: bytes, token: bytes) -> bool:
    """Whether a comma-separated field names the token (lower case)."""
    return any(part.strip() == token for part in value.lower().split(b","))
