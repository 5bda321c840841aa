"""Header sections that come again: found by their bytes, and read to the same end as if they were parsed."""

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.framing import Framing
from gateway.kernel.patterns.paths import compile_normaliser
from gateway.model.exchange import Exchange
from gateway.model.reason import Reason
from gateway.model.request import RequestHead, UpgradeHead
from gateway.server.head import MAX_TARGET, HeadParser
from gateway.server.sections import Sections
from gateway.server.settings import Limits
from gateway.stages.accept import Accept, ListenerSettings
from gateway.testing.wait import until
from tests.facts import trace
from tests.serving import connected, get, serving

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


async def test_a_head_that_comes_again_is_found_whole_and_shared(driver: str) -> None:
    heads: list[RequestHead] = []
    often, once = f"/{driver}/comes-again", f"/{driver}/comes-once"  # lines are known to the whole process

    async def look(exchange: Exchange) -> None:
        heads.append(exchange.head)
        await exchange.send_head(200, [], b"ok", end=True)

    async with serving(handler=look) as gateway, connected(gateway.ports["edge"]) as client:
        for path in (*[often] * 6, once, often):
            await client.send(get(path))
            assert (await client.answer()).body == b"ok"
        known = gateway.listeners["edge"].sections.heads
        assert list(known) == [get(often)]
        fifth, sixth, other, again = heads[4:]
        assert fifth is sixth is again is known[get(often)].head
        assert (other.target, other.section, other.again) == (once.encode(), fifth.section, None)


@pytest.mark.usefixtures("driver")
async def test_H9_a_head_that_came_before_is_judged_by_the_limits_that_hold_now() -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        listener = gateway.listeners["edge"]
        for _ in range(5):
            await client.send(get())
            assert (await client.answer()).status == 200
        assert get() in listener.sections.heads
        listener.limits = replace(listener.limits, headers=0)
        await client.send(get())
        assert (await client.answer()).status == 431
        assert gateway.reason is Reason.HEADERS_TOO_LARGE


@pytest.mark.usefixtures("driver")
async def test_H10_a_head_that_came_before_takes_its_body_and_nothing_behind_it() -> None:
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        for _ in range(5):
            await client.send(head + b"abc" + head + b"abc")
            assert [(await client.answer()).status for _ in range(2)] == [200, 200]
        for _ in range(2):
            await client.send(head)
            await until(lambda: gateway.server is not None and bool(gateway.server._working))
            await client.send(b"abc")
            assert (await client.answer()).status == 200
        assert head in gateway.listeners["edge"].sections.heads
        assert [seen.body for seen in gateway.seen] == [b"abc"] * 12


async def test_R9_heads_that_are_too_large_or_never_come_again_take_no_place() -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        for number in range(8):
            await client.send(get(f"/comes-once/{number}"))
            assert (await client.answer()).status == 200
        for _ in range(5):
            await client.send(get("/large", "X-A: " + "a" * 2048))
            assert (await client.answer()).status == 200
        assert not gateway.listeners["edge"].sections.heads


def test_R9_heads_and_sections_take_no_more_memory_than_is_given_whatever_clients_repeat() -> None:
    sections, limits = Sections(), Limits()
    parser = HeadParser(sections)
    accept = Accept({"edge": ListenerSettings(compile_normaliser(), None, None, None)}, {}, "gateway-test")
    tracemalloc.start()
    try:
        begun, _ = tracemalloc.get_traced_memory()
        for number in range(1_000):  # each with a section of its own, so that none shares what was read
            raw = head(b"GET /floods HTTP/1.1", b"Host: a.example\r\nX-A: %01900d\r\n\r\n" % number)
            for _ in range(5):
                framing = parser.parse(raw, 100)
                assert framing is not None
                if framing.head.again is not None:
                    sections.keep(raw, framing, limits)
                    accept(trace(framing.head))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(sections.heads) > 100
    assert peak - begun <= 10 << 20  # 8 MiB of heads; what sections hold is the same, or as old
