"""Heads and header sections that clients repeat: read once, then found again by their bytes.

A client's requests mostly differ in their first line alone, if in that, and reading the rest of a head costs more than
any stage behind it. Rule: what is kept hangs on nothing but the bytes that it is kept under.
Invariant: only what was read without fault is kept, and only once it came a second time: what never repeats, a flood
among it, takes no place.
"""

from gateway.kernel.framing import Framing
from gateway.kernel.memo import Memo
from gateway.model.noun import noun
from gateway.model.request import HeaderSection, RawHeaders, RepeatedHead, RequestHead
from gateway.server.settings import Limits

LARGEST_HEAD = 2048  # bytes of a head that is kept whole
_HEADS = 12 << 20  # bytes of them all: 3,000 with a token each
_READ = 896  # characters' worth of what is kept with a head beside its texts
_LARGEST = 4096  # bytes of a section that is kept
_KEPT = 512  # sections of each of two generations: at most 4 MiB of text, a section's parts are as large once more
_SEEN = 8192  # hashes of what came once


@noun
class KnownSection:
    """A header section of HTTP/1.1, and what `kernel.framing.judge` found in it."""

    headers: RawHeaders
    content_length: int | None
    has_body: bool
    persistent: bool
    expects: bool
    section: HeaderSection


@noun
class KnownHead(Framing):
    """A head whose line and section came before, and the limits of its listener by which it is sound."""

    limits: Limits


class Sections:
    """Of one listener."""

    __slots__ = ("_before", "_now", "_seen", "heads")

    def __init__(self) -> None:
        self.heads: Memo[bytes, KnownHead] = Memo(LARGEST_HEAD + _READ, _HEADS)  # by the whole of their bytes
        self._now: dict[bytes, KnownSection] = {}
        self._before: dict[bytes, KnownSection] = {}
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return len(self._now.keys() | self._before.keys())

    def find(self, raw: bytes) -> KnownSection | None:
        """The section whose bytes these are, from behind the request line to the empty line."""
        known = self._now.get(raw)
        if known is None and self._before:
            known = self._before.get(raw)
            if known is not None:
                self._keep(raw, known)
        return known

    def again(self, raw: bytes) -> RepeatedHead | None:
        """Of a head whose line and section are known; None when it did not come before."""
        return RepeatedHead() if self._came(raw) else None

    def keep(self, raw: bytes, framing: Framing, limits: Limits) -> None:
        """A head came for which `again` gave something; `limits` are those by which it is sound."""
        self.heads.keep(raw, KnownHead(framing.head, framing.persistent, framing.expects, limits), len(raw) + _READ)

    def met(self, raw: bytes, framing: Framing) -> None:
        """A section was read, of an HTTP/1.1 request that is no CONNECT; it is kept when it came before."""
        head = framing.head
        if head.fault is not None or type(head) is not RequestHead or len(raw) > _LARGEST:
            return  # refused, a handshake of another protocol, or too large
        if not self._came(raw):
            return
        known = KnownSection(
            head.headers, head.content_length, head.has_body, framing.persistent, framing.expects, HeaderSection()
        )
        self._keep(raw, known)

    def _came(self, raw: bytes) -> bool:
        """Whether these bytes came before."""
        mark = hash(raw)
        if mark in self._seen:
            return True
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen.add(mark)
        return False

    def _keep(self, raw: bytes, known: KnownSection) -> None:
        """What is asked for again lives on; what is not is gone with its generation."""
        if len(self._now) >= _KEPT:
            self._before, self._now = self._now, {}
        self._now[raw] = known
