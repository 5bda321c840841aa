"""The pages that a buffer is going to lie on are given back first."""

import ctypes
import mmap

import pytest

from gateway.server import memory
from gateway.server.memory import room_for_a_buffer

SIZE = 256 * 1024


def test_what_is_allocated_next_lies_on_no_page_that_was_used_before() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    for _ in range(100):
        before = library.malloc(SIZE)
        ctypes.memset(before, 0xFF, SIZE)
        library.free(before)
        room_for_a_buffer()
        block = library.malloc(SIZE)
        inside = ctypes.string_at(block, SIZE)[mmap.PAGESIZE : -mmap.PAGESIZE]
        library.free(block)
        if block == before:
            assert not any(inside)
            return
    pytest.fail("no block was ever allocated again")


def test_without_such_a_library_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> object:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", none)
    memory._room()()
