"""The usual answer is read without the parser, and says what the parser would say of the same bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstreams.response import ResponseReader
from gateway.upstreams.usual import read_usual

OK = b"HTTP/1.1 200 OK\r\n"
TWO = b"Content-Length: 2\r\n"


def test_a_usual_answer_is_read_and_read_again() -> None:
    raw = OK + b"Server: x \r\nSet-Cookie: a\r\nset-cookie: b\r\nConnection: Keep-Alive\r\n" + TWO + b"\r\nhi"
    fields = [(b"server", b"x"), (b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"content-length", b"2")]
    assert read_usual(raw) == (200, fields, b"hi")
    assert read_usual(raw[:-2] + b"ho") == (200, fields, b"ho")


def test_an_answer_with_the_head_of_the_one_before_has_its_fields() -> None:
    first = read_usual(OK + TWO + b"\r\nhi")
    assert first is not None
    again = read_usual(OK + TWO + b"\r\nho", first[1])
    assert again == (200, [(b"content-length", b"2")], b"ho")
    assert again[1] is first[1]


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        pytest.param(OK + b"content-length: 2\r\n\r\nhi", b"hi", id="another-head-of-the-same-length"),
        pytest.param(OK + b"Content-Length: 3\r\n\r\nhi!", b"hi!", id="another-length"),
        pytest.param(OK + TWO + b"\r\nh", None, id="a-body-that-is-not-all-there"),
        pytest.param(OK + TWO + b"\r\nhi!", None, id="H24-bytes-behind-the-body"),
        pytest.param(OK + TWO + b"\r\n\r\n", b"\r\n", id="a-body-of-a-line-end"),
        pytest.param(OK + TWO + b"A:\r\n\r\n", None, id="another-field"),
    ],
)
def test_H24_what_was_read_before_says_nothing_of_another_head(raw: bytes, body: bytes | None) -> None:
    before = read_usual(OK + TWO + b"\r\nhi")
    assert before is not None
    usual = read_usual(raw, before[1])
    assert usual == read_usual(raw)
    assert (usual and usual[2]) == body


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(OK + TWO + b"\r\nh", id="a-body-that-is-not-all-there"),
        pytest.param(OK + TWO + b"\r\nhi!", id="H24-bytes-behind-the-body"),
        pytest.param(OK + b"Server: x\r\n\r\n", id="no-length"),
        pytest.param(OK + TWO + TWO + b"\r\nhi", id="H23-one-length-twice"),
        pytest.param(OK + TWO + b"content-length: 3\r\n\r\nhi", id="H23-two-lengths"),
        pytest.param(OK + b"Content-Length: +2\r\n\r\nhi", id="H23-signed-length"),
        pytest.param(OK + b"Content-Length: 2, 2\r\n\r\nhi", id="H23-a-list-of-lengths"),
        pytest.param(OK + b"Content-Length: \xb2\r\n\r\nhi", id="H23-a-length-of-another-alphabet"),
        pytest.param(OK + b"Content-Length : 2\r\n\r\nhi", id="H23-a-blank-before-the-colon"),
        pytest.param(OK + TWO + b"Transfer-Encoding: chunked\r\n\r\nhi", id="H23-length-and-coding"),
        pytest.param(OK + TWO + b" folded: x\r\n\r\nhi", id="H23-a-folded-line"),
        pytest.param(OK + TWO + b"X: a\nContent-Length: 9\r\n\r\nhi", id="H23-a-bare-line-feed"),
        pytest.param(OK + TWO + b"X: a\rb\r\n\r\nhi", id="H23-a-bare-carriage-return"),
        pytest.param(OK + TWO + b"X: a\0b\r\n\r\nhi", id="H23-NUL"),
        pytest.param(OK + TWO + b"no colon\r\n\r\nhi", id="H23-no-field"),
        pytest.param(OK + TWO + b": x\r\n\r\nhi", id="H23-no-name"),
        pytest.param(OK + TWO + OK + b"\r\nhi", id="H23-a-status-line-among-the-fields"),
        pytest.param(TWO + OK + b"\r\nhi", id="H23-a-field-before-the-status-line"),
        pytest.param(OK + TWO + b"Connection: close\r\n\r\nhi", id="an-end-that-is-announced"),
        pytest.param(OK + TWO + b"Connection: X-A\r\n\r\nhi", id="H13-a-nominated-field"),
        pytest.param(OK + TWO + b"Upgrade: x\r\n\r\nhi", id="H26-an-upgrade"),
        pytest.param(b"HTTP/1.0 200 OK\r\n" + TWO + b"\r\nhi", id="HTTP-1.0"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n" + TWO + b"\r\nhi", id="H24-a-body-to-204"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n" + TWO + b"\r\nhi", id="informational"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n" + TWO + b"\r\nhi", id="H26-101"),
        pytest.param(OK + b"X: " + b"a" * 5000 + b"\r\n" + TWO + b"\r\nhi", id="a-large-head"),
        pytest.param(OK + b"X: a\r\n" * 120 + TWO + b"\r\nhi", id="many-fields"),
    ],
)
def test_whatever_is_not_plainly_sound_is_left_to_the_parser(raw: bytes) -> None:
    assert read_usual(raw) is None


NAMES = st.sampled_from(
    [b"Server", b"server", b"Content-Length", b"Connection", b"X-A", b"Transfer-Encoding", b"X A", b""]
)
VALUES = st.one_of(
    st.sampled_from(
        [b"2", b" 2 ", b"02", b"keep-alive", b"close", b"chunked", b"", b"\t", b"a\xffb", b"2\r\n x", b"\x01"]
    ),
    st.binary(max_size=4),
)
HEADS = st.lists(st.tuples(NAMES, st.sampled_from([b":", b": ", b" :", b""]), VALUES), max_size=5)


@given(
    HEADS,
    st.sampled_from([OK, b"HTTP/1.1 404 Not Found\r\n", b"HTTP/1.1 200 ok\r\n"]),
    st.sampled_from([b"", b"h", b"hi"]),
)
def test_H23_what_it_reads_the_parser_reads_alike(
    head: list[tuple[bytes, bytes, bytes]], first: bytes, body: bytes
) -> None:
    raw = first + b"".join(name + colon + value + b"\r\n" for name, colon, value in head) + b"\r\n" + body
    usual = read_usual(raw)
    if usual is None:
        return
    parsed = ResponseReader()
    parsed.begin("GET")
    for at in range(len(raw)):
        parsed.feed(raw[at : at + 1])  # in pieces it is no usual answer
    fields = [field for field in parsed.headers if field[0] != b"connection"]
    assert usual == (parsed.status, fields, parsed.take())
    assert (parsed.fault, parsed.complete, parsed.reusable) == (None, True, True)
