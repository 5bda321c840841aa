"""Header sections that come again: found by their bytes, and read to the same end as if they were parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.framing import Framing
from gateway.model.reason import Reason
from gateway.model.request import UpgradeHead
from gateway.server.head import MAX_TARGET, HeadParser
from gateway.server.sections import Sections

SECTION = b"Host: a.example\r\nAuthorization: Bearer x\r\nX-A: 1\r\n\r\n"


def head(line: bytes, section: bytes = SECTION) -> bytes:
    return line + b"\r\n" + section


def warm(sections: Sections, section: bytes = SECTION) -> None:
    """Let a section come often enough to be kept."""
    for _ in range(2):
        HeadParser(sections).parse(head(b"GET / HTTP/1.1", section), 100)


def plain(framing: Framing | None) -> object:
    """A framing without the section that it shares with others."""
    if framing is None:
        return None
    made = framing.head
    return (made.method, made.target, made.version, made.headers, made.content_length, made.has_body, made.fault), (
        framing.persistent,
        framing.expects,
    )


def test_a_section_is_kept_when_it_comes_a_second_time_and_shared_from_then_on() -> None:
    sections = Sections()
    parser = HeadParser(sections)
    first, second, third, fourth = (parser.parse(head(b"GET /%d HTTP/1.1" % n), 100) for n in range(4))
    assert first is not None
    assert second is not None
    assert third is not None
    assert fourth is not None
    assert first.head.section is second.head.section is None
    assert third.head.section is fourth.head.section is not None
    assert third.head.headers is fourth.head.headers
    assert (third.head.target, fourth.head.target) == (b"/2", b"/3")
    assert plain(third) == plain(HeadParser(Sections()).parse(head(b"GET /2 HTTP/1.1"), 100))


LINES = [
    b"GET / HTTP/1.1",
    b"POST /a?b=c HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"GET http://b.example/x HTTP/1.1",
    b"GET / HTTP/1.0",
    b"GET / HTTP/1.2",
    b"GET / HTTP/2.0",
    b"get / HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"GET /  HTTP/1.1",
    b" GET / HTTP/1.1",
    b"GET\t/ HTTP/1.1",
    b"GET /a b HTTP/1.1",
    b"GET /a\tb HTTP/1.1",
    b"GET /\xc3\xa4 HTTP/1.1",
    b"GET /\x7f HTTP/1.1",
    b"GET /\x00 HTTP/1.1",
    b"GET /a#b HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"GET /",
    b"CONNECT a.example:443 HTTP/1.1",
    b"M-SEARCH / HTTP/1.1",
    b"BREW / HTTP/1.1",
    b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1",
    b"",
]


@pytest.mark.parametrize("line", LINES)
def test_H5_a_line_over_a_known_section_is_judged_as_over_an_unknown_one(line: bytes) -> None:
    sections = Sections()
    warm(sections)
    assert plain(HeadParser(sections).parse(head(line), 100)) == plain(HeadParser(Sections()).parse(head(line), 100))


@given(st.binary(max_size=40).filter(lambda line: b"\n" not in line and b"\r" not in line))
def test_H5_whatever_the_line_is(line: bytes) -> None:
    sections = Sections()
    warm(sections)
    for made in (line, b"GET /" + line + b" HTTP/1.1", b"GET " + line + b" HTTP/1.1", line + b" / HTTP/1.1"):
        found = HeadParser(sections).parse(head(made), 100)
        assert plain(found) == plain(HeadParser(Sections()).parse(head(made), 100))


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(b"Host: a\r\nHost: b\r\n\r\n", id="H6-two-hosts"),
        pytest.param(b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", id="H1-two-lengths"),
        pytest.param(b"Host: a\r\nUpgrade: h2c\r\n\r\n", id="H27-upgrade"),
        pytest.param(b"Host: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", id="H27-another-protocol"),
        pytest.param(b"X-A: b\r\n\r\n", id="H6-no-host"),
        pytest.param(b"Host: a\r\nX : b\r\n\r\n", id="H5-space-before-the-colon"),
    ],
)
def test_a_section_with_a_fault_is_refused_however_often_it_comes(section: bytes) -> None:
    sections = Sections()
    for _ in range(4):
        framing = HeadParser(sections).parse(head(b"GET / HTTP/1.1", section), 100)
        assert framing is not None
        assert framing.head.fault is not None
    assert sections.find(section) is None


def test_H9_a_known_section_still_counts_its_fields() -> None:
    sections = Sections()
    warm(sections)
    framing = HeadParser(sections).parse(head(b"GET / HTTP/1.1"), 2)
    assert framing is not None
    assert framing.head.fault is Reason.HEADERS_TOO_LARGE


def test_a_known_section_with_a_body_frames_it_each_time() -> None:
    section = b"Host: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    sections = Sections()
    warm(sections, section)
    framing = HeadParser(sections).parse(head(b"POST /a HTTP/1.1", section), 100)
    assert framing is not None
    assert framing.head.section is not None
    assert (framing.head.content_length, framing.head.has_body) == (3, True)
    assert (framing.persistent, framing.expects) == (False, True)


def test_R9_what_never_comes_again_takes_no_place_and_what_is_asked_for_outlives_a_flood() -> None:
    sections = Sections()
    warm(sections)
    for n in range(20_000):
        HeadParser(sections).parse(head(b"GET / HTTP/1.1", b"Host: a\r\nX-A: %d\r\n\r\n" % n), 100)
    assert len(sections) == 1
    for n in range(2_000):  # twice each: these are kept
        warm(sections, b"Host: a\r\nX-B: %d\r\n\r\n" % n)
        assert sections.find(SECTION) is not None
    assert len(sections) <= 1024


def test_R9_a_section_that_is_too_large_is_not_kept() -> None:
    section = b"Host: a\r\nX-A: " + b"a" * 5000 + b"\r\n\r\n"
    sections = Sections()
    warm(sections, section)
    assert sections.find(section) is None


def test_H27_a_section_that_asks_to_leave_http_is_judged_with_its_line_however_often_it_comes() -> None:
    fields = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    section = b"Host: a.example\r\n" + fields + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    sections = Sections()
    for _ in range(3):
        handshake = HeadParser(sections).parse(head(b"GET / HTTP/1.1", section), 100)
        assert handshake is not None
        assert type(handshake.head) is UpgradeHead
        other = HeadParser(sections).parse(head(b"POST / HTTP/1.1", section), 100)
        assert other is not None
        assert other.head.fault is Reason.UPGRADE_REFUSED
    assert len(sections) == 0
