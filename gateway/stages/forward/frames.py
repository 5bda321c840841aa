"""The frames of a WebSocket, as far as a tunnel must know them (RFC 6455 section 5.2): where they begin and end.

Rule: what passes is read and never changed.
Invariant: a frame of our own goes out only between two others.
"""

from os import urandom

_CLOSE = 0x8
_LONGEST_REASON = 123  # bytes: a control frame holds 125, and two are the code (RFC 6455 section 5.5)


class Frames:
    """One direction of a WebSocket."""

    __slots__ = ("_head", "_left", "closed")

    def __init__(self) -> None:
        self._head = b""  # the begin of a frame's head that has not come whole
        self._left = 0  # bytes of the frame's payload that are still to come
        self.closed = False  # a Close went this way

    @property
    def between(self) -> bool:
        """True when the bytes so far end with a frame."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> int:
        """Take what passes; returns where in it the last frame ends, -1 when none does."""
        at, size, ends = 0, len(data), -1
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
            else:
                at = self._take_head(data, at)
            if self.between:
                ends = at
        return ends

    def _take_head(self, data: bytes, at: int) -> int:
        """Read on in a frame's head; returns where it ends, or the data does."""
        before = len(self._head)
        head = self._head + data[at : at + _LONGEST_HEAD - before]
        needed = _head_size(head)
        if len(head) < needed:
            self._head = head
            return len(data)
        self._head = b""
        length = head[1] & 0x7F
        if length == _TWO_BYTES:
            length = int.from_bytes(head[2:4])
        elif length == _EIGHT_BYTES:
            length = int.from_bytes(head[2:10])
        self._left = length
        self.closed = self.closed or head[0] & 0xF == _CLOSE
        return at + needed - before


_TWO_BYTES, _EIGHT_BYTES = 126, 127  # what stands for a length that follows
_LONGEST_HEAD = 14


def _head_size(head: bytes) -> int:
    """Of the frame that begins so; at least what must come to tell."""
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    extended = 2 if length == _TWO_BYTES else 8 if length == _EIGHT_BYTES else 0
    return 2 + extended + (4 if head[1] & 0x80 else 0)


def close_frame(code: int, reason: str, *, masked: bool = False) -> bytes:
    """A Close with its code and reason; `masked` as a client's must be."""
    payload = code.to_bytes(2) + reason.encode("ascii")[:_LONGEST_REASON]
    if not masked:
        return bytes([0x80 | _CLOSE, len(payload)]) + payload
    mask = urandom(4)
    hidden = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([0x80 | _CLOSE, 0x80 | len(payload)]) + mask + hidden
