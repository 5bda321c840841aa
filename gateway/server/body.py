"""Where a request's body ends: by length, or by chunks (RFC 9112 sections 6.3 and 7.1).

Rule: strict to the byte (hex digits only, CRLF only, bounded extensions and trailers); no I/O.
Invariant: `feed` never takes a byte that is not this message's; trailers are judged, counted and kept apart.
"""

from typing import TypeAlias

from gateway.model.request import RawHeaders
from gateway.server.head import TOKEN

_HEX = b"0123456789abcdefABCDEF"
_SIZE_DIGITS = 15  # below 2**63
_EXTENSION = 256  # bytes on one chunk
_VISIBLE = bytes(byte for byte in range(0x20, 0x100) if byte != 0x7F) + b"\t"
_OVERHEAD = 8192  # bytes of extensions over a message, and of trailers
_LONGEST_LINE = _SIZE_DIGITS + _EXTENSION + 2
_SIZE, _END, _TRAILER = range(3)  # what the next line of a chunked body is


class BadFraming(Exception):  # noqa: N818 - what became of the message
    """The message's end cannot be told: nothing behind it on this connection may be read."""


class LengthBody:
    """A body of a known length, which is not 0."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = False

    def feed(self, data: bytes, pieces: list[bytes]) -> int:
        """Move body bytes from `data` to `pieces`; returns how many bytes of `data` were used."""
        size = len(data)
        if size > self.left:
            data, size = data[: self.left], self.left
        pieces.append(data)
        self.left -= size
        self.done = self.left == 0
        return size


class ChunkedBody:
    """A chunked body."""

    __slots__ = ("_extensions", "_line", "_next", "_overhead", "done", "left", "trailers")

    def __init__(self) -> None:
        self.left = 0  # bytes of the chunk that are still to come
        self.done = False
        self._line = b""  # the begin of a line whose end has not come
        self._next = _SIZE
        self._extensions = 0
        self._overhead = 0  # bytes of the trailer section
        self.trailers: RawHeaders = []  # names in lower case

    def feed(self, data: bytes, pieces: list[bytes]) -> int:
        """Move body bytes from `data` to `pieces`; returns how many bytes of `data` were used. Raises BadFraming."""
        at, size = 0, len(data)
        while at < size and not self.done:
            if self.left:
                piece = data[at : at + self.left]
                pieces.append(piece)
                at += len(piece)
                self.left -= len(piece)
                if not self.left:
                    self._next = _END
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or size]
            at = end or size
            if end:
                self._take_line()
            elif len(self._line) > (_OVERHEAD if self._next == _TRAILER else _LONGEST_LINE):
                raise BadFraming("a line of the chunked body is too long")
        return at

    def _take_line(self) -> None:
        line, self._line = self._line, b""
        content = line[:-2]
        if line[-2:] != b"\r\n" or b"\r" in content or b"\0" in content:
            raise BadFraming("a line of the chunked body does not end in CRLF")
        if self._next == _SIZE:
            self._size(content)
        elif self._next == _TRAILER:
            self._trailer(content)
        elif content:
            raise BadFraming("a chunk is longer than its size says")
        else:
            self._next = _SIZE

    def _size(self, line: bytes) -> None:
        digits, semicolon, extension = line.partition(b";")
        if not 0 < len(digits) <= _SIZE_DIGITS or digits.strip(_HEX):
            raise BadFraming("a chunk's size is not a hexadecimal number")
        if semicolon:
            length = len(extension) + 1
            self._extensions += length
            # No parser hands extensions on and a backend never sees them: what is long is there to hide or to tire
            if length > _EXTENSION or self._extensions > _OVERHEAD or (extension and min(extension) < 0x20):
                raise BadFraming("a chunk's extension is too long")
        self.left = int(digits, 16)
        if not self.left:
            self._next = _TRAILER

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._overhead += len(line) + 2
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip(TOKEN) or value.strip(_VISIBLE) or self._overhead > _OVERHEAD:
            raise BadFraming("a trailer field is malformed or too long")
        self.trailers.append((name.lower(), value.strip(b" \t")))


class Tunnelled:
    """What follows a 101: every byte, as long as the connection lasts."""

    __slots__ = ()
    done = False

    def feed(self, data: bytes, pieces: list[bytes]) -> int:
        """Move all of `data` to `pieces`."""
        pieces.append(data)
        return len(data)


BodyReader: TypeAlias = LengthBody | ChunkedBody | Tunnelled
