"""Backends' answers, byte by byte: what is read, what is dropped, what is refused (H23 to H26)."""

import pytest

from gateway.upstreams.response import MAX_FIELDS, MAX_HEAD_BYTES, ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"


def read(*pieces: bytes, method: str = "GET", end: bool = False) -> ResponseReader:
    reader = ResponseReader()
    reader.begin(method)
    for piece in pieces:
        reader.feed(piece)
    if end:
        reader.end()
    return reader


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 2\r\n\r\nhi",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nhi",
    ],
)
def test_an_answer_is_read_whole_however_it_is_cut(answer: bytes) -> None:
    for pieces in ([answer], [answer[i : i + 1] for i in range(len(answer))]):
        reader = read(*pieces)
        assert (reader.fault, reader.status, reader.take(), reader.complete, reader.reusable) == (
            None,
            200,
            b"hi",
            True,
            True,
        )


@pytest.mark.parametrize("cut", [3, 40])
def test_fields_are_kept_in_order_with_their_repeats_and_names_in_lower_case(cut: int) -> None:
    raw = OK + b"X-A:  b \t\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nCONTENT-length: 0 \r\n\r\n"
    reader = read(raw[:cut], raw[cut:])
    assert reader.headers == [
        (b"x-a", b"b"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"content-length", b"0"),
    ]
    assert (reader.complete, reader.reusable) == (True, True)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", id="H23-two-lengths"),
        pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", id="H23-one-length-twice"),
        pytest.param(OK + b"Content-Length: +2\r\n\r\nhi", id="H23-signed-length"),
        pytest.param(
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="H24-length-and-chunked"
        ),
        pytest.param(OK + b"Transfer-Encoding: gzip\r\n\r\nhi", id="H23-gzip"),
        pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="H23-gzip-chunked"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="H23-chunked-twice"
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="H23-chunked-in-1.0"),
        pytest.param(OK + b"X : a\r\n\r\n", id="H23-space-before-colon"),
        pytest.param(OK + b"X: a\0b\r\n\r\n", id="H23-nul"),
        pytest.param(OK + b"X: a\x07b\r\n\r\n", id="H23-control"),
        pytest.param(OK + b"X: a\r\n b\r\n\r\n", id="H24-fold"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="H24-bare-lf"),
        pytest.param(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", id="H24-status-999"),
        pytest.param(b"HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", id="H24-status-600"),
        pytest.param(b"HTTP/1.1 99 What\r\n\r\n", id="H24-status-99"),
        pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="H24-version-2"),
        pytest.param(b"ICY 200 OK\r\n\r\n", id="H24-another-protocol"),
        pytest.param(b"\x16\x03\x01\x02\x00", id="H23-tls-where-http-is-due"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n", id="H26-unasked-101"),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", id="H26-bare-101"),
        pytest.param(b"HTTP/1.1 103 Hints\r\n\r\n" * 20, id="H24-informational-without-end"),
        pytest.param(OK + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", id="H23-large-head"),
        pytest.param(OK + b"X: " + b"a" * 3 * MAX_HEAD_BYTES, id="H23-head-without-end"),
        pytest.param(OK + b"X: a\r\n" * (MAX_FIELDS + 1) + b"\r\n", id="H23-many-fields"),
    ],
)
def test_what_can_be_read_in_two_ways_is_a_fault(answer: bytes) -> None:
    reader = read(answer)
    assert reader.fault is not None
    assert not reader.head_done


def test_H23_a_broken_chunk_is_a_fault_and_never_an_end() -> None:
    reader = read(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b"zz\r\n")
    assert reader.fault is not None
    assert not reader.complete


@pytest.mark.parametrize(
    ("method", "status", "head"),
    [
        pytest.param("HEAD", 200, b"Content-Length: 5\r\n", id="H25-head"),
        pytest.param("HEAD", 200, b"Transfer-Encoding: chunked\r\n", id="H25-head-chunked"),
        pytest.param("GET", 204, b"Content-Length: 5\r\n", id="H25-204"),
        pytest.param("GET", 304, b"Content-Length: 5\r\n", id="H25-304"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_no_body_where_none_may_be(method: str, status: int, head: bytes, late: bool) -> None:
    start = b"HTTP/1.1 %d X\r\n%b\r\n" % (status, head)
    reader = read(start, b"hello", method=method) if late else read(start + b"hello", method=method)
    assert (reader.fault, reader.complete, reader.take()) == (None, True, b"")
    assert not reader.reusable  # the bytes would be the next answer's


@pytest.mark.parametrize(("method", "status"), [("HEAD", 204), ("GET", 204), ("GET", 304)])
def test_a_bodyless_answer_leaves_its_connection_fit(method: str, status: int) -> None:
    reader = read(b"HTTP/1.1 %d X\r\n\r\n" % status, method=method)
    assert (reader.complete, reader.reusable) == (True, True)
    reader.begin("GET")
    reader.feed(OK + b"Content-Length: 2\r\n\r\nhi")
    assert (reader.status, reader.take(), reader.reusable) == (200, b"hi", True)


@pytest.mark.parametrize("surplus", [b"x", OK + b"Content-Length: 0\r\n\r\n", b"\0" * 100])
@pytest.mark.parametrize("late", [False, True])
def test_H23_bytes_behind_an_answer_make_the_connection_unfit(surplus: bytes, late: bool) -> None:
    whole = OK + b"Content-Length: 2\r\n\r\nhi"
    reader = read(whole, surplus) if late else read(whole + surplus)
    assert (reader.fault, reader.take(), reader.complete, reader.reusable) == (None, b"hi", True, False)


def test_a_body_without_length_ends_with_the_connection() -> None:
    reader = read(OK + b"\r\nhel", b"lo")
    assert (reader.complete, reader.close_delimited) == (False, True)
    reader.end()
    assert (reader.complete, reader.take(), reader.reusable) == (True, b"hello", False)


def test_an_end_in_the_middle_of_a_length_is_no_end() -> None:
    assert not read(OK + b"Content-Length: 5\r\n\r\nhel", end=True).complete
    assert not read(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", end=True).complete


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"Connection: keep-alive, close\r\n"])
def test_close_is_heeded(head: bytes) -> None:
    assert not read(OK + head + b"Content-Length: 0\r\n\r\n").reusable


def test_http_1_0_is_not_kept_alive_unless_it_says_so() -> None:
    assert not read(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").reusable
    assert read(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").reusable


def test_H24_trailers_are_dropped() -> None:
    reader = read(OK + b"Transfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n2\r\nhi\r\n0\r\nX-T: v\r\n\r\n")
    assert (reader.complete, [name for name, _ in reader.headers]) == (True, [b"transfer-encoding", b"trailer"])


SWITCHED = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX-A: a\r\n\r\n"


def asked_to_switch(*pieces: bytes) -> ResponseReader:
    reader = ResponseReader()
    reader.begin("GET")
    reader.upgrades = True
    for piece in pieces:
        reader.feed(piece)
    return reader


@pytest.mark.parametrize("cut", [len(SWITCHED), len(SWITCHED) + 2, 5])
def test_behind_a_101_that_was_asked_for_every_byte_is_passed_on(cut: int) -> None:
    raw = SWITCHED + b"GET / HTTP/1.1\r\n\r\n"
    reader = asked_to_switch(raw[:cut], raw[cut:], b"\x81\x00")
    assert (reader.fault, reader.status, reader.head_done, reader.complete) == (None, 101, True, False)
    assert reader.headers == [(b"upgrade", b"websocket"), (b"connection", b"upgrade"), (b"x-a", b"a")]
    assert reader.take() == raw[len(SWITCHED) :] + b"\x81\x00"
    reader.end()
    assert (reader.complete, reader.reusable) == (True, False)


def test_another_answer_to_who_asked_to_switch_is_one_like_any() -> None:
    reader = asked_to_switch(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    assert (reader.status, reader.take(), reader.complete) == (403, b"no", True)


def test_H26_a_101_without_its_fields_switches_nothing() -> None:
    reader = asked_to_switch(b"HTTP/1.1 101 Switching\r\n\r\n", b"\x81\x00")
    assert (reader.status, reader.headers, reader.take()) == (101, [], b"")
