"""The opening handshake of a WebSocket towards a backend (RFC 6455 section 4): what asks for it, what answers it.

Rule: the client's key goes through, so that what a backend proves is proved to the client too.
Invariant: an answer that is not wholly in order is none.
"""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha1

from gateway.kernel.framing import names_token
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestContext

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ACCEPT, _EXTENSIONS = b"sec-websocket-accept", b"sec-websocket-extensions"
_OURS = frozenset((b"content-length", b"sec-websocket-protocol"))


def asking(head: bytes, ctx: RequestContext) -> bytes:
    """The head of a handshake: that of a request, and what asks to leave HTTP."""
    offered = ctx.values.get("sec-websocket-protocol")
    lines = b"connection: Upgrade\r\nupgrade: websocket\r\n"
    if offered:
        lines += b"sec-websocket-protocol: %b\r\n" % ", ".join(offered).encode("ascii")
    return head[:-2] + lines + b"\r\n"


def verified(fields: RawHeaders, ctx: RequestContext) -> RawHeaders:
    """The fields of a backend's 101 but its subprotocol. Raises Refused(UPSTREAM_PROTOCOL) (section 4.1)."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value.strip(b" \t"))
    key = ctx.values["sec-websocket-key"][0].encode("ascii")
    if [value.lower() for value in values.get(b"upgrade", ())] != [b"websocket"]:
        raise Refused(Reason.UPSTREAM_PROTOCOL, "the backend's 101 is for another protocol")
    if not any(names_token(value, b"upgrade") for value in values.get(b"connection", ())):
        raise Refused(Reason.UPSTREAM_PROTOCOL, "the backend's 101 does not name its Upgrade")
    if values.get(_ACCEPT) != [b64encode(sha1(key + _GUID, usedforsecurity=False).digest())]:
        raise Refused(Reason.UPSTREAM_PROTOCOL, "the backend's Sec-WebSocket-Accept is not of this handshake")
    offered = (value.encode("latin-1") for value in ctx.values.get("sec-websocket-extensions", ()))
    if not _names(values.get(_EXTENSIONS, ())) <= _names(offered):
        raise Refused(Reason.UPSTREAM_PROTOCOL, "the backend uses an extension that was not offered")
    return [field for field in fields if field[0].lower() not in _OURS]


def _names(extensions: Iterable[bytes]) -> set[bytes]:
    """Without their parameters."""
    return {each.partition(b";")[0].strip().lower() for value in extensions for each in value.split(b",")} - {b""}
