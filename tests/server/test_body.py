"""Bodies by length and by chunks, however their bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.body import BadFraming, ChunkedBody, LengthBody


def read(body: LengthBody | ChunkedBody, data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """Feed `data` in parts; the body's bytes, and what was not taken."""
    pieces: list[bytes] = []
    bounds = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for begin, end in pairwise(bounds):
        used = body.feed(data[begin:end], pieces)
        if body.done:
            return b"".join(pieces), data[begin + used :]
        assert used == end - begin
    return b"".join(pieces), b""


@given(st.binary(min_size=1, max_size=50), st.binary(max_size=20), st.lists(st.integers(0, 80)))
def test_a_length_takes_exactly_its_bytes(content: bytes, behind: bytes, cuts: list[int]) -> None:
    body = LengthBody(len(content))
    assert read(body, content + behind, cuts) == (content, behind)
    assert body.done


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.binary(max_size=20),
    st.lists(st.integers(0, 400)),
    st.sampled_from([b"", b";a", b";a=b;c", b';q="x y"']),
    st.sampled_from([b"", b"X: a\r\n", b"X: a\r\nY: b\r\n"]),
)
def test_H4_chunks_are_the_same_however_they_are_cut(
    chunks: list[bytes], behind: bytes, cuts: list[int], extension: bytes, trailers: bytes
) -> None:
    raw = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    raw += b"0%b\r\n%b\r\n" % (extension, trailers)
    body = ChunkedBody()
    assert read(body, raw + behind, cuts) == (b"".join(chunks), behind)
    assert body.done


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_H4_what_is_taken_does_not_hang_on_how_it_is_cut(raw: bytes, cuts: list[int]) -> None:
    assert _outcome(raw, []) == _outcome(raw, cuts)


def _outcome(raw: bytes, cuts: list[int]) -> object:
    body = ChunkedBody()
    try:
        found = read(body, raw, cuts)
    except BadFraming:
        return "bad"
    return (*found, body.done)


def test_H4_an_unfinished_line_is_bounded() -> None:
    body = ChunkedBody()
    assert body.feed(b"0" * 200, []) == 200
    with pytest.raises(BadFraming):
        body.feed(b"0" * 200, [])


def test_H12_trailers_are_bounded_and_dropped() -> None:
    body, pieces = ChunkedBody(), list[bytes]()
    line = b"X-A: " + b"a" * 100 + b"\r\n"
    body.feed(b"1\r\nx\r\n0\r\n" + line * 70, pieces)
    with pytest.raises(BadFraming):
        body.feed(line * 10, pieces)
    assert pieces == [b"x"]
