"""A request head out of its bytes: llhttp splits it, `kernel.framing` judges it.

Rule: the request line is exactly `METHOD SP TARGET SP HTTP/1.x CRLF` (llhttp also takes two spaces, RTSP and more). A
header section that came before is not parsed again: then the line alone is judged, and what is unusual in it parsed.
Invariant: every refusal is a head with a fault, made of what could be read; None only where no request line was there.
"""

import httptools

from gateway.kernel.framing import Framing, judge
from gateway.kernel.memo import Memo
from gateway.model.reason import Reason
from gateway.model.request import RawHeaders, RequestHead
from gateway.server.sections import Sections

MAX_TARGET = 8192  # bytes; RFC 9110 section 4.1 asks for 8000 at least
_LINE_END = {b" HTTP/1.1\r\n": "1.1", b" HTTP/1.0\r\n": "1.0"}
TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SALVAGED_HEADERS = 100
_USUAL = {method.encode("ascii"): method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
_VERSION = b"HTTP/1.1"
_VISIBLE = bytes(range(0x21, 0x7F))
_lines: Memo[bytes, tuple[str, bytes]] = Memo()  # clients ask again for what they asked for


class HeadParser:
    """Parses the heads of one connection, one after the other."""

    __slots__ = ("_complete", "_headers", "_parser", "_sections", "_target")

    def __init__(self, sections: Sections) -> None:
        self._sections = sections
        self._target = b""
        self._headers: RawHeaders = []
        self._complete = False
        self._parser: httptools.HttpRequestParser | None = None  # made for the first section that is not known yet

    def parse(self, raw: bytes, max_headers: int) -> Framing | None:
        """The head that `raw` holds from its first byte to the empty line; None where no request line can be made out.

        Whatever is wrong with it is its `fault`.
        """
        end = raw.find(b"\r\n") + 2
        section = raw[end:]
        known = self._sections.find(section)
        if known is not None and len(known.headers) <= max_headers:
            line = raw[: end - 2]
            again = None
            usual = _lines.get(line)
            if usual is not None:
                again = self._sections.again(raw)  # the line came before too: so may the two together
            else:
                usual = _read_usual(line)
            if usual is not None:
                method, target = usual
                length, has_body = known.content_length, known.has_body
                head = RequestHead(method, target, "1.1", known.headers, length, has_body, None, known.section, again)
                return Framing(head, known.persistent, known.expects)
        framing = self._parse(raw, max_headers)
        if framing is not None and framing.head.version == "1.1":
            self._sections.met(section, framing)
        return framing

    def _parse(self, raw: bytes, max_headers: int) -> Framing | None:
        self._target = b""
        headers: RawHeaders = []
        self._headers = headers
        self._complete = False
        parser = self._parser
        if parser is None:
            self._parser = parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass  # an upgrade or CONNECT: `judge` refuses it, and nothing behind it is read
        except httptools.HttpParserError:
            return salvage(raw, Reason.BAD_REQUEST)
        method, target = parser.get_method(), self._target
        line = method + b" " + target
        end = len(line) + 11
        version = _LINE_END.get(raw[end - 11 : end])
        if not self._complete or version is None or not raw.startswith(line):
            return salvage(raw, Reason.BAD_REQUEST)
        framing = judge(method.decode("ascii"), target, version, headers)
        head = framing.head
        if head.has_body:
            self._parser = None  # this one waits for the body, which we read ourselves
        if len(target) > MAX_TARGET:
            return _faulty(head, Reason.TARGET_TOO_LONG)
        if len(headers) > max_headers:
            return _faulty(head, Reason.HEADERS_TOO_LARGE)
        return framing

    def close(self) -> None:
        """Part from llhttp's parser, which holds on to this object."""
        self._parser = None

    # llhttp's callbacks

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The empty line was read."""
        self._complete = True


def _read_usual(line: bytes) -> tuple[str, bytes] | None:
    """Method and target of a request line that is sound on its face; None for one that has to be parsed."""
    words = line.split(b" ")
    if len(words) != 3 or words[2] != _VERSION:
        return None
    method, target = _USUAL.get(words[0]), words[1]
    if method is None or target[:1] != b"/" or len(target) > MAX_TARGET:
        return None
    if not (target.isascii() and target.decode().isprintable()):
        return None
    usual = method, target
    _lines.keep(line, usual, len(line))
    return usual


def fault_of_part(data: bytes, *, over: bool) -> Reason | None:
    """Why no sound head can come of its begin; None while one can. `over`: it is longer than a head may be.

    A bare LF (RFC 9112 section 2.2, H5), or a first line that is no request line of HTTP/1.x, need not be waited out.
    """
    line, whole, _ = data.partition(b"\r\n")
    if len(line) > MAX_TARGET:
        return Reason.TARGET_TOO_LONG
    if over:
        return Reason.HEADERS_TOO_LARGE
    if data.count(b"\n") != data.count(b"\r\n") or (whole and not line.endswith((b" HTTP/1.1", b" HTTP/1.0"))):
        return Reason.BAD_REQUEST
    return None


def salvage(raw: bytes, fault: Reason) -> Framing | None:
    """A head of what stands in `raw`, for the record of its refusal; None where no request line can be made out.

    A length or coding that cannot be believed outranks the fault that was found.
    """
    line, _, rest = raw.partition(b"\r\n")
    words = line.split()
    if len(words) < 2 or len(words[0]) > 32 or words[0].strip(TOKEN):
        return None
    headers: RawHeaders = []
    for field in rest.split(b"\r\n", _SALVAGED_HEADERS)[:_SALVAGED_HEADERS]:
        name, colon, value = field.partition(b":")
        if colon and name and not name.strip(TOKEN):
            headers.append((name.lower(), value.strip(b" \t")))
    version = "1.0" if words[-1] == b"HTTP/1.0" else "1.1"
    head = judge(words[0].decode("ascii"), words[1][: MAX_TARGET + 1], version, headers).head
    if fault is Reason.BAD_REQUEST:
        if head.fault is Reason.AMBIGUOUS_FRAMING:
            fault = head.fault
        elif _raw_bytes_in_path(line):
            fault = Reason.AMBIGUOUS_PATH
    return _faulty(head, fault)


def _raw_bytes_in_path(line: bytes) -> bool:
    """True for a request line that is sound but for control or non-ASCII bytes in its path, which llhttp refuses."""
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        return False
    return bool(parts[1].partition(b"?")[0].strip(_VISIBLE))


def _faulty(head: RequestHead, fault: Reason) -> Framing:
    """The same head, refused, without a body that anyone could want to read."""
    refused = RequestHead(head.method, head.target, head.version, head.headers, None, False, fault)
    return Framing(refused, persistent=False, expects=False)
