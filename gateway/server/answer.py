"""An answer as bytes: its head, and how its body is framed (RFC 9112 section 6).

Rule: the framing is ours: one Date, one length or chunks, no body where HTTP has none; no I/O.
Invariant: a head holds as many lines as were meant, and a body never more bytes than its head says.
"""

import http
import time
from email.utils import formatdate
from os import urandom

from gateway.kernel.breaks import breaks
from gateway.kernel.framing import names_token
from gateway.model.answer import ComposedFields, OwnFields, PassedFields, WrittenFields
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestHead
from gateway.stages.answer.documents import JSON_TYPE, problem

_OURS = frozenset((b"transfer-encoding", b"connection", b"keep-alive", b"content-length", b"date"))
_line = b": ".join  # of a field
_STATUS_LINES = {status: b"HTTP/1.1 %d " % status for status in range(200, 600)} | {
    status.value: b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode()) for status in http.HTTPStatus
}


def whole(request: RequestHead, status: int, front: WrittenFields, own: OwnFields, data: bytes) -> bytes | None:
    """A whole answer that is not the last of its connection, of fields that are written. None: `Answer` writes it."""
    if front.length != len(data) or request.method == "HEAD" or status in (204, 304):
        return None
    return b"".join((_STATUS_LINES[status], b"\r\n", front.lines, own.lines, b"\r\n", data))


def usual(request: RequestHead, status: int, headers: PassedFields, data: bytes) -> bytes | None:
    """A whole answer that is not the last of its connection and of whose framing nothing is ours to say.

    None for another one, which `Answer` writes. Raises ValueError for a header that holds a line end.
    """
    front = headers.front
    if front.length != len(data) or request.method == "HEAD" or status in (204, 304):
        return None
    own = headers.own
    if own is not None and len(headers) == len(front.fields) + len(own):
        return b"".join((_STATUS_LINES[status], b"\r\n", front.lines, own.lines, b"\r\n", data))
    more = headers[len(front.fields) :]
    if not _OURS.isdisjoint(dict(more)):
        return None
    lines = [*map(_line, more), b"\r\n"]
    return b"%b\r\n%b%b%b" % (_STATUS_LINES[status], front.lines, _guarded(b"\r\n".join(lines), len(lines)), data)


def composed(request: RequestHead, status: int, headers: ComposedFields, data: bytes) -> bytes | None:
    """A whole answer of the gateway's own that is not the last of its connection. None: `Answer` writes it."""
    if request.method == "HEAD" or status in (204, 304):
        return None
    return b"".join(
        (_STATUS_LINES[status], b"\r\n", headers.lines, date_line(), b"\r\n", headers.length, b"\r\n", data)
    )


class Answer:
    """One answer on its way out."""

    __slots__ = ("_chunked", "_left", "_mute", "persistent")

    def __init__(self, *, persistent: bool) -> None:
        """`persistent`: the request and the connection allow another request behind this one."""
        self.persistent = persistent
        self._mute = False  # the answer has no body, whatever is sent
        self._chunked = False
        self._left: int | None = None  # bytes that the answer's length still promises

    @property
    def short(self) -> bool:
        """True while the body is shorter than the head says."""
        return bool(self._left)

    def begin(self, request: RequestHead, status: int, headers: RawHeaders, data: bytes, *, end: bool) -> bytes:
        """The head, and with it the first piece of the body.

        Raises ValueError for a header that holds a line end, and for a piece that is longer than the length says.
        """
        last = dict(headers)
        mute = request.method == "HEAD" or status in (204, 304)
        lines = [_STATUS_LINES[status]]
        lines += [_line(field) for field in headers if field[0] not in _OURS]
        date, declared = last.get(b"date"), last.get(b"content-length")
        lines.append(date_line() if date is None else b"date: " + date)
        length = None if declared is None else int(declared)
        persistent = self.persistent
        if b"connection" in last:
            persistent = persistent and not any(n == b"connection" and names_token(v, b"close") for n, v in headers)
        self._mute = mute
        if not mute:
            if length is None and end:
                length = len(data)
            self._left = length
            self._chunked = length is None and request.version == "1.1"
        if length is not None and status != 204:
            lines.append(b"content-length: %d" % length)
        elif self._chunked:
            lines.append(b"transfer-encoding: chunked")
        elif not mute:
            persistent = False  # the end of the connection ends the body
        if not persistent:
            lines.append(b"connection: close")
        self.persistent = persistent
        lines.append(b"\r\n")
        return _guarded(b"\r\n".join(lines), len(lines)) + self.piece(data, end=end)

    def piece(self, data: bytes, *, end: bool) -> bytes:
        """A piece of the body as it goes on the wire. Raises ValueError when it is more than the length says."""
        if self._mute:
            return b""
        if self._chunked:
            if not data:
                return b"0\r\n\r\n" if end else b""
            return b"%x\r\n%b\r\n%b" % (len(data), data, b"0\r\n\r\n" if end else b"")
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise ValueError("the answer is longer than its Content-Length")
        return data

    def last(self, data: bytes, trailers: RawHeaders) -> bytes:
        """The end of the body with a trailer section behind it, where the framing has a place for one.

        Raises ValueError as `piece` does, and for a field that holds a line end.
        """
        if self._mute or not self._chunked:
            return self.piece(data, end=True)
        lines = [b"0", *(name + b": " + value for name, value in trailers), b"\r\n"]
        return self.piece(data, end=False) + _guarded(b"\r\n".join(lines), len(lines))


def bare(reason: Reason) -> bytes:
    """A whole answer to what is no request. Its id stands in no record: there is nothing that one could tell."""
    request_id = urandom(16).hex()
    body = problem(Refused(reason, ""), request_id)
    lines = (
        _STATUS_LINES[reason.status],
        b"x-request-id: " + request_id.encode("ascii"),
        b"cache-control: no-store",
        b"content-type: " + JSON_TYPE,
        date_line(),
        b"content-length: %d" % len(body),
        b"connection: close",
        b"\r\n",
    )
    return b"\r\n".join(lines) + body


def switching(headers: RawHeaders) -> bytes:
    """A whole 101. Raises ValueError for a header that holds a line end."""
    lines = [_STATUS_LINES[101], *(_line(field) for field in headers if field[0] not in _OURS)]
    lines += [date_line(), b"connection: Upgrade", b"\r\n"]
    return _guarded(b"\r\n".join(lines), len(lines))


def early_hints(links: RawHeaders) -> bytes:
    """A whole 103. Raises ValueError for a header that holds a line end."""
    lines = [_STATUS_LINES[103], *map(_line, links), b"\r\n"]
    return _guarded(b"\r\n".join(lines), len(lines))


def _guarded(head: bytes, lines: int) -> bytes:
    """The last guard against response splitting: as many line ends as lines, and nothing else that could be one."""
    if breaks(head) != 2 * lines:
        raise ValueError("a response header holds a line end or NUL")
    return head


def date_line() -> bytes:
    """RFC 9110 section 6.6.1; made once a second."""
    global _date, _date_second
    now = int(time.time())
    if now != _date_second:
        _date_second, _date = now, b"date: %b" % formatdate(now, usegmt=True).encode()
    return _date


_date_second = 0
_date = b""
