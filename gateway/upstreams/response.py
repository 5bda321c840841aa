"""A backend's answer, from bytes to head and body: no I/O.

Rule: what can be read in two ways is a fault (502), not repaired; 1xx are dropped, a 103 handed on to who asks; a
trailer section is bounded as a head is, and kept apart from it.
Invariant: bytes behind an answer never become part of the next one: they make the connection unfit.
"""

from typing import cast

import httptools

from gateway.model.request import RawHeaders
from gateway.upstreams.usual import read_usual

MAX_HEAD_BYTES = 65536
MAX_FIELDS = 200
EARLY_HINTS = 103
_MAX_INFORMATIONAL = 16  # 1xx answers before the final one
_BODYLESS = frozenset({204, 304})


class _Tunnelled:
    """In the parser's place behind a 101: every byte is the answer's."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def feed_data(self, data: bytes) -> None:
        if data:
            self._chunks.append(data)


class ResponseReader:
    """Reads one answer after the other from a connection; `begin` goes before each.

    It is httptools' callback object: `fault` is set instead of raising, for exceptions out of a callback get wrapped.
    """

    __slots__ = (
        "_fields",
        "_head_bytes",
        "_informational",
        "_is_head",
        "_parser",
        "awaits",
        "chunks",
        "close_delimited",
        "complete",
        "declared",
        "fault",
        "head_done",
        "headers",
        "reusable",
        "status",
        "upgrades",
    )

    def __init__(self) -> None:
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._fields: RawHeaders = []  # as they come
        self._informational = 0
        self.headers: RawHeaders = []  # names in lower case
        self.status = 0
        self.close_delimited = False
        self.fault: str | None = None
        self.upgrades = False  # a 101 was asked for; stays so, and such a connection carries nothing else
        self.begin("GET")

    def begin(self, method: str) -> None:
        """An answer to a `method` request is awaited; the one before was whole and `reusable`."""
        self._is_head = method == "HEAD"
        self._head_bytes = 0
        self._fields = []
        self.awaits = method  # whose answer it is; "" once a byte of that came
        self.declared: bytes | None = None  # of a chunked answer: what its `Trailer` names
        self.chunks: list[bytes] = []  # body bytes that nobody has taken yet
        self.head_done = False
        self.complete = False
        self.reusable = False  # of a complete answer: the connection may carry another

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; afterwards look at `fault`, `head_done`, `complete` and `chunks`."""
        if self.awaits and self._parser is not None and not self._is_head and not self.upgrades:
            usual = read_usual(data)
            if usual is not None:
                self.awaits = ""
                self.status, self.headers, body = usual
                if body:
                    self.chunks.append(body)
                self.head_done = self.complete = self.reusable = True
                return
        self.parse(data)

    def parse(self, data: bytes) -> None:
        """`feed` bytes that do not begin a usual answer."""
        self.awaits = ""
        parser = self._parser
        if self.complete or parser is None:
            self._surplus()
            return
        self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.upgrades and self.head_done:
                self._parser = cast("httptools.HttpResponseParser", _Tunnelled(self.chunks))
                self._parser.feed_data(data[upgrade.args[0] :])
            else:
                self.fault = self.fault or "an upgrade that nobody asked for"
        except httptools.HttpParserError as error:
            self._garbage(error)
        if self.chunks:
            self._head_bytes = 0
        elif self._head_bytes > 2 * MAX_HEAD_BYTES and not self.complete:
            self.fault = self.fault or "a head or a trailer section without end"

    def end(self) -> None:
        """The backend closed its side cleanly: the end of a body that has no other."""
        if self.head_done and self.close_delimited and not self.complete and self.fault is None:
            self.complete = True

    def take(self) -> bytes:
        """The body bytes that came since the last call; b"" when none did."""
        chunks = self.chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        return data

    def close(self) -> None:
        """No more bytes come: part from the parser, which holds on to this object."""
        self._parser = None

    @property
    def trailers(self) -> RawHeaders:
        """The trailer section of a complete answer; names in lower case."""
        return self._fields

    def take_hints(self) -> RawHeaders:
        """The fields of a 103 that came since the last call, while the head of the answer is not there."""
        if self.status != EARLY_HINTS or self.head_done:
            return []
        self.status = 0
        return self.headers

    def _garbage(self, error: httptools.HttpParserError) -> None:
        if self.complete:
            self._surplus()
        else:
            self.fault = self.fault or f"not HTTP/1.1: {error}"

    def _surplus(self) -> None:
        """Bytes that belong to no answer: whoever got this one keeps it, the connection is done."""
        self.reusable = False
        self._parser = None

    # httptools' callbacks

    def on_message_begin(self) -> None:
        if self.complete:
            self._surplus()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if self.complete or parser is None or self.fault is not None:
            return
        status = parser.get_status_code()
        if status < 200:
            self._on_informational(status)
            return
        length = transfer = None
        self.headers = self._fields
        self._fields = []
        for name, value in self.headers:
            if name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                transfer = value if transfer is None else b"repeated"
            elif name == b"trailer":
                self.declared = value if self.declared is None else self.declared + b"," + value
        self.fault = self._judge(status, parser.get_http_version(), transfer)
        if self.fault is not None:
            return
        self.status = status
        self.head_done = True
        if self._is_head or status in _BODYLESS:
            self._without_body(parser, declared=transfer is not None or (length is not None and length != b"0"))
        else:
            self.close_delimited = length is None and transfer is None
        if transfer is None:
            self.declared = None

    def _judge(self, status: int, version: str, transfer: bytes | None) -> str | None:
        """What is wrong with the head, None when nothing is (H23, H24)."""
        if status > 599:
            return "a status that does not exist"
        if version != "1.1" and version != "1.0":
            return "another version of HTTP"
        if transfer is not None and (transfer.lower() != b"chunked" or version == "1.0"):
            return "a transfer coding other than chunked"
        if len(self.headers) > MAX_FIELDS or (self._head_bytes > MAX_HEAD_BYTES and _too_large(self.headers)):
            return "a head that is too large"
        return None

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.chunks.append(body)
        else:
            self.reusable = False  # a body where none may be (RFC 9110 section 6.4.1)

    def on_message_complete(self) -> None:
        if self.head_done and not self.complete and self._parser is not None:
            if self._fields and (len(self._fields) > MAX_FIELDS or _too_large(self._fields)):
                self.fault = "a trailer section that is too large"
                return
            self.complete = True
            self.reusable = self._parser.should_keep_alive() and not self.close_delimited

    def _on_informational(self, status: int) -> None:
        """100 and its like are swallowed: the gateway has already answered `Expect` by itself. 103 may be taken."""
        self._informational += 1
        if status == 101 and self.upgrades:
            self._switched()
        elif status == EARLY_HINTS and self._informational <= _MAX_INFORMATIONAL:
            self.status, self.headers = status, self._fields
        elif status == 101:
            self.fault = "an upgrade that nobody asked for"
        elif self._informational > _MAX_INFORMATIONAL:
            self.fault = "informational answers without end"
        self._fields = []

    def _switched(self) -> None:
        """A 101: whoever asked for it judges its fields; what follows it lasts as long as the connection."""
        self.headers = self._fields
        too_large = len(self.headers) > MAX_FIELDS or _too_large(self.headers)
        self.fault = "a head that is too large" if too_large else None
        self.status = 101
        self.close_delimited = True
        self.head_done = True
        self._parser = None  # no callback behind this one counts

    def _without_body(self, parser: httptools.HttpResponseParser, *, declared: bool) -> None:
        """Complete at its head (RFC 9112 section 6.3).

        A backend that wrongly sends the declared body after all would have it read as the next answer: where one is
        declared (mostly to HEAD) the connection is not used again.
        """
        self.complete = True
        self.reusable = not declared and parser.should_keep_alive()
        if declared:
            self._parser = None  # it would wait for the body


def _too_large(fields: RawHeaders) -> bool:
    return sum(len(name) + len(value) + 4 for name, value in fields) > MAX_HEAD_BYTES
