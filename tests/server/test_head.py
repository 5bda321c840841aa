"""Heads out of bytes: parsed strictly, or salvaged for the record of their refusal."""

import pytest

from gateway.model.reason import Reason
from gateway.server.head import MAX_TARGET, HeadParser, salvage
from gateway.server.sections import Sections


def test_heads_are_parsed_one_after_the_other() -> None:
    parser = HeadParser(Sections())
    for raw in (
        b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\n\r\n",
        b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
        b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /d HTTP/1.0\r\nX-Last: 1\r\n\r\n",
    ):
        framing = parser.parse(raw, 100)
        assert framing is not None
        method, target = raw.split(b" ")[:2]
        assert (framing.head.method.encode(), framing.head.target) == (method, target)
        assert framing.head.fault is None
    assert framing is not None
    assert framing.head.headers == [(b"x-last", b"1")]


def test_names_are_lower_case_and_repeats_are_kept_in_order() -> None:
    framing = HeadParser(Sections()).parse(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-B: 2\r\nX-a: 3\r\n\r\n", 100)
    assert framing is not None
    assert framing.head.headers == [(b"host", b"a"), (b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")]


def test_the_number_of_fields_and_the_target_are_bounded() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n"
    many, long = (
        HeadParser(Sections()).parse(raw, 1),
        HeadParser(Sections()).parse(raw.replace(b"/ ", b"/" * (MAX_TARGET + 1) + b" "), 9),
    )
    assert many is not None
    assert many.head.fault is Reason.HEADERS_TOO_LARGE
    assert long is not None
    assert long.head.fault is Reason.TARGET_TOO_LONG


def test_what_is_salvaged_has_a_fault_and_no_body() -> None:
    framing = salvage(
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nbad\r\nX Y: z\r\nX-A: b", Reason.BAD_REQUEST
    )
    assert framing is not None
    head = framing.head
    assert (head.method, head.target, head.version, head.fault) == ("POST", b"/x", "1.1", Reason.BAD_REQUEST)
    assert head.headers == [(b"host", b"a"), (b"content-length", b"5"), (b"x-a", b"b")]
    assert (head.has_body, framing.persistent, framing.expects) == (False, False, False)


def test_a_fault_of_framing_outranks_bad_syntax_and_nothing_else() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6"
    for given, told in (
        (Reason.BAD_REQUEST, Reason.AMBIGUOUS_FRAMING),
        (Reason.REQUEST_TIMEOUT, Reason.REQUEST_TIMEOUT),
    ):
        framing = salvage(raw, given)
        assert framing is not None
        assert framing.head.fault is told


@pytest.mark.parametrize("raw", [b"", b"GET", b"GET ", b"\0 /", b"G" * 33 + b" /", "GÉT /".encode()])
def test_what_has_no_request_line_is_not_salvaged(raw: bytes) -> None:
    assert salvage(raw, Reason.BAD_REQUEST) is None


def test_what_is_salvaged_is_bounded() -> None:
    framing = salvage(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n" + b"X: y\r\n" * 10000, Reason.TARGET_TOO_LONG)
    assert framing is not None
    assert len(framing.head.target) == MAX_TARGET + 1
    assert len(framing.head.headers) <= 100
