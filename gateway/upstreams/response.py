"""A backend's answer, from bytes to head and body: no I/O.

Rule: what can be read in two ways is a fault (502), not repaired; what does not belong (1xx, trailers) is dropped.
Invariant: bytes behind an answer never become part of the next one: they make the connection unfit.
"""

import httptools

from gateway.model.request import RawHeaders

MAX_HEAD_BYTES = 65536
MAX_FIELDS = 200
_MAX_INFORMATIONAL = 16  # 1xx answers before the final one
_BODYLESS = frozenset({204, 304})


class ResponseReader:
    """Reads one answer after the other from a connection; `begin` goes before each.

    It is httptools' callback object: `fault` is set instead of raising, for exceptions out of a callback get wrapped.
    """

    __slots__ = (
        "_head_bytes",
        "_informational",
        "_is_head",
        "_length",
        "_parser",
        "_transfer",
        "chunks",
        "close_delimited",
        "complete",
        "fault",
        "head_done",
        "headers",
        "reusable",
        "status",
        "touched",
    )

    def __init__(self) -> None:
        self._parser: httptools.HttpResponseParser | None = None
        self.begin("GET")

    def begin(self, method: str) -> None:
        """An answer to a `method` request is awaited."""
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._is_head = method == "HEAD"
        self._informational = 0
        self._head_bytes = 0
        self._length: bytes | None = None
        self._transfer: bytes | None = None
        self.status = 0
        self.headers: RawHeaders = []  # names in lower case, values without outer white space
        self.chunks: list[bytes] = []  # body bytes that nobody has taken yet
        self.touched = False  # a byte of the answer came
        self.head_done = False
        self.complete = False
        self.close_delimited = False
        self.reusable = False  # of a complete answer: the connection may carry another
        self.fault: str | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; afterwards look at `fault`, `head_done`, `complete` and `chunks`."""
        self.touched = True
        parser = self._parser
        if self.complete or parser is None:
            self._surplus()
            return
        if not self.head_done:
            self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fault = self.fault or "an upgrade that nobody asked for"
        except httptools.HttpParserError as error:
            self._garbage(error)
        if not self.head_done and self._head_bytes > 2 * MAX_HEAD_BYTES:
            self.fault = self.fault or "a head without end"

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
        if self.head_done:
            return  # trailers are dropped (RFC 9110 section 6.5.1)
        name = name.lower()
        value = value.rstrip(b" \t")
        if name == b"content-length":
            self._length = value
        elif name == b"transfer-encoding":
            self._transfer = value.lower() if self._transfer is None else b"repeated"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.complete or self.fault is not None or self._parser is None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._on_informational(status)
            return
        version = self._parser.get_http_version()
        transfer = self._transfer
        if status > 599:
            self.fault = "a status that does not exist"
        elif version != "1.1" and version != "1.0":
            self.fault = "another version of HTTP"
        elif transfer is not None and (transfer != b"chunked" or version == "1.0"):
            self.fault = "a transfer coding other than chunked"
        elif len(self.headers) > MAX_FIELDS or self._too_large():
            self.fault = "a head that is too large"
        if self.fault is not None:
            return
        self.status = status
        self.head_done = True
        if self._is_head or status in _BODYLESS:
            self._without_body(self._parser.should_keep_alive())
        else:
            self.close_delimited = self._length is None and transfer is None

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.chunks.append(body)
        else:
            self.reusable = False  # a body where none may be (RFC 9110 section 6.4.1)

    def on_message_complete(self) -> None:
        if self.head_done and not self.complete and self._parser is not None:
            self.complete = True
            self.reusable = self._parser.should_keep_alive() and not self.close_delimited

    def _on_informational(self, status: int) -> None:
        """100, 103 and their like are swallowed: the gateway has already answered `Expect` by itself."""
        self._informational += 1
        if status == 101:
            self.fault = "an upgrade that nobody asked for"
        elif self._informational > _MAX_INFORMATIONAL:
            self.fault = "informational answers without end"
        self.headers = []
        self._length = self._transfer = None

    def _without_body(self, keep_alive: bool) -> None:
        """Complete at its head (RFC 9112 section 6.3).

        A backend that wrongly sends the declared body after all would have it read as the next answer: where one is
        declared (mostly to HEAD) the connection is not used again.
        """
        self.complete = True
        declared = self._transfer is not None or self._length not in (None, b"0")
        self.reusable = keep_alive and not declared
        if declared:
            self._parser = None  # it would wait for the body

    def _too_large(self) -> bool:
        if self._head_bytes <= MAX_HEAD_BYTES:
            return False
        return sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES
