"""Room for a TLS connection's read buffer: uvloop makes it 256 KiB, of which an idle connection uses a page or two.

Rule: just before, a block of that size is taken, its pages are given back to the kernel, and it is freed: the buffer is
then laid there. Else it lies over what earlier handshakes have used and freed, and those pages stay in memory for as
long as the connection is open (22 kB of 49).
Invariant: nothing but a block of our own is touched; where the buffer comes to lie elsewhere nothing is gained or lost.
"""

import ctypes
import mmap
from collections.abc import Callable

_BUFFER = 256 * 1024  # bytes; SSL_READ_MAX_SIZE of uvloop's sslproto.pyx
_DONTNEED = 4  # MADV_DONTNEED of Linux: the pages are zeroes when they are touched again


def _room() -> Callable[[], None]:
    try:
        library, pointer, size = ctypes.CDLL(None), ctypes.c_void_p, ctypes.c_size_t
        take = ctypes.CFUNCTYPE(pointer, size)(("malloc", library))
        give = ctypes.CFUNCTYPE(None, pointer)(("free", library))
        advise = ctypes.CFUNCTYPE(ctypes.c_int, pointer, size, ctypes.c_int)(("madvise", library))
    except (AttributeError, OSError):
        return lambda: None
    page = mmap.PAGESIZE

    def room() -> None:
        block = take(_BUFFER)
        if block:
            first = -(-block // page) * page
            advise(first, (block + _BUFFER - first) // page * page, _DONTNEED)
            give(block)

    return room


room_for_a_buffer: Callable[[], None] = _room()
"""Make room that holds no page in memory."""
