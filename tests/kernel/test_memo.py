"""A memo remembers ten thousand, and takes no more memory than it may, whatever it is asked to keep."""

import tracemalloc

import pytest

from gateway.kernel.memo import Memo

MOST = 4 << 20


def test_ten_thousand_usual_texts_are_remembered() -> None:
    memo: Memo[bytes, bytes] = Memo()
    keys = [b"/api/v1/service-%05d/items/7" % n for n in range(10_000)]
    for key in keys:
        memo.keep(key, key, len(key))
    assert all(memo.get(key) == key for key in keys)


@pytest.mark.parametrize("length", [8, 32, 256])
def test_R9_a_flood_takes_no_more_memory_than_is_given(length: int) -> None:
    memo: Memo[tuple[bytes, str], tuple[str, bytes]] = Memo()
    tracemalloc.start()
    try:
        begun, _ = tracemalloc.get_traced_memory()
        for n in range(40_000):
            text = b"%0*d" % (length, n)
            memo.keep((text, "edge"), ("GET", text[1:]), length)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert memo
    assert peak - begun <= MOST


def test_a_text_that_is_too_long_is_not_remembered() -> None:
    memo: Memo[bytes, bytes] = Memo()
    memo.keep(b"a" * 256, b"", 256)
    memo.keep(b"b" * 257, b"", 257)
    assert list(memo) == [b"a" * 256]
