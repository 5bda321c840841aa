"""The usual answer: whole in one piece, its length declared, every line of its head sound on its face.

A backend's answers mostly repeat each other's lines, and within a second whole heads: each is read once and then found
again by its bytes, where a parser would call back for each.
Rule: whatever is not plainly sound, or says anything of framing but one Content-Length, is left to the parser; so is
a backend's failure (5xx), which may be tried again.
Invariant: the same bytes are the same answer, and what the parser would refuse is never one.
"""

import http

from gateway.model.answer import AnswerSection

Field = tuple[bytes, bytes]
Usual = tuple[int, AnswerSection, bytes]  # status, fields, body

_LARGEST = 4096  # bytes of a head
_MOST = 100  # fields
_KEPT_LINES, _KEPT_HEADS = 2048, 512  # with the longest of heads 12 MiB in all, with what is written of them
_STATUS = {
    b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode()): status.value
    for status in http.HTTPStatus
    if 200 <= status < 500 and status not in (204, 304)  # those have no body, whatever they declare
}
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # RFC 9110 section 5.6.2
_NEVER_IN_A_VALUE = bytes(range(0x09)) + bytes(range(0x0A, 0x20)) + b"\x7f"  # RFC 9110 section 5.5: all CTL but HTAB
_FRAMING = frozenset((b"transfer-encoding", b"trailer", b"upgrade", b"proxy-connection"))
_LENGTH, _CONNECTION = b"content-length", b"connection"
_LONGEST_LENGTH = 15  # digits


class _Lines(dict[bytes, Field | None]):
    """What each line says; a line that was not asked for before is read."""

    def __missing__(self, line: bytes) -> Field | None:
        if len(self) >= _KEPT_LINES:
            self.clear()
        field = self[line] = _read(line)
        return field


def _read(line: bytes) -> Field | None:
    """The name in lower case, and the value; None for a line that is the parser's to judge."""
    name, colon, value = line.partition(b":")
    if not colon or not name or name.translate(None, _TOKEN):
        return None
    if len(value.translate(None, _NEVER_IN_A_VALUE)) != len(value):
        return None
    name, value = name.lower(), value.strip(b" \t")
    if name in _FRAMING or (name == _CONNECTION and value.lower() != b"keep-alive"):
        return None
    if name == _LENGTH and not (value.isdigit() and len(value) <= _LONGEST_LENGTH):
        return None
    return name, value


_field = _Lines().__getitem__


class _Heads(dict[bytes, AnswerSection | None]):
    """What each head, with its empty line, says; a head that was not asked for before is read."""

    def __missing__(self, head: bytes) -> AnswerSection | None:
        if len(self) >= _KEPT_HEADS:
            self.clear()
        found = self[head] = _read_head(head)
        return found


def _read_head(head: bytes) -> AnswerSection | None:
    lines = head[:-4].split(b"\r\n")
    status = _STATUS.get(lines[0])
    fields = [*map(_field, lines[1:])]
    if status is None or len(fields) > _MOST:
        return None
    said = AnswerSection()
    lengths = []
    for field in fields:
        if field is None:
            return None
        if field[0] == _LENGTH:
            lengths.append(int(field[1]))
        if field[0] != _CONNECTION:
            said.append(field)
    if len(lengths) != 1:
        return None
    said.status = status
    said.head = head
    said.size = len(head) + lengths[0]
    return said


_head = _Heads().__getitem__


def read_usual(data: bytes, last: AnswerSection | None = None) -> Usual | None:
    """Status, fields (Connection is left out: it says keep-alive) and body of an answer that is all of `data`.

    None where it is not a usual one. To HEAD the same bytes would be another answer: this one is to another method.
    Whoever gets the fields leaves them as they are: another answer may have the same. `last`: fields that may come
    again: to compare their bytes takes less than to look them up.
    """
    size = len(data)
    if last is None or last.size != size or not data.startswith(last.head):
        end = data.find(b"\r\n\r\n", 0, _LARGEST)
        last = _head(data[: end + 4]) if end >= 0 else None
        if last is None or last.size != size:
            return None
    return last.status, last, data[len(last.head) :]
