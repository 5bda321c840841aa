"""OpenSSL's cache of TLS sessions: how many, for how long, or none; and which cipher TLS 1.3 is spoken with.

Python's `ssl` has no word for any of it.

Rule: a session stays in this process, and a ticket is only its number; what falls out of the cache is shaken hands with
in full. So nothing at a client outlives a cache, and no key lies anywhere that would open tickets.
Invariant: only a context whose OpenSSL answers as Python does is touched; where none can be, nothing is ever resumed
under TLS 1.3.
"""

import _ssl
import ctypes
import ssl
import sys

_SET_SIZE, _SET_MODE = 42, 44  # SSL_CTRL_SET_SESS_CACHE_SIZE, SSL_CTRL_SET_SESS_CACHE_MODE (ssl.h)
_OFF = 0  # SSL_SESS_CACHE_OFF
# the one that all must have comes first (RFC 8446 section 9.1); OpenSSL has SHA-384 there, and SHA-256 takes a
# tenth off a resumed handshake
_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_NEVER = (1 << (8 * ctypes.sizeof(ctypes.c_long) - 1)) - 1


class _Library:
    """The very OpenSSL that `ssl` works with, found through its own module. Raises AttributeError, OSError."""

    def __init__(self) -> None:
        library = ctypes.CDLL(_ssl.__file__)
        context, number, count = ctypes.c_void_p, ctypes.c_long, ctypes.c_size_t
        self.control = ctypes.CFUNCTYPE(number, context, ctypes.c_int, number, ctypes.c_void_p)(
            ("SSL_CTX_ctrl", library)
        )
        self.set_timeout = ctypes.CFUNCTYPE(number, context, number)(("SSL_CTX_set_timeout", library))
        self.flush = ctypes.CFUNCTYPE(None, context, number)(("SSL_CTX_flush_sessions", library))
        self.set_suites = ctypes.CFUNCTYPE(ctypes.c_int, context, ctypes.c_char_p)(
            ("SSL_CTX_set_ciphersuites", library)
        )
        self.tickets = ctypes.CFUNCTYPE(count, context)(("SSL_CTX_get_num_tickets", library))


def _library() -> _Library | None:
    """None where it is another Python, or an OpenSSL that was built into it and shows nothing."""
    if sys.implementation.name != "cpython":
        return None
    try:
        library = _Library()
    except (AttributeError, OSError):
        return None
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for count in (3, 7):
        probe.num_tickets = count
        if library.tickets(_pointer(probe)) != count:
            return None
    return library


def _pointer(context: ssl.SSLContext) -> int | None:
    """The SSL_CTX of a context: what stands first in CPython's PySSLContext."""
    return ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value


_LIBRARY = _library()


def keep_sessions(context: ssl.SSLContext, most: int, seconds: int) -> bool:
    """Hand out a ticket a handshake, each good for `seconds`, the latest `most` of them. False where it cannot be."""
    if _LIBRARY is None:
        return False
    pointer = _pointer(context)
    _LIBRARY.control(pointer, _SET_SIZE, most, None)
    _LIBRARY.set_timeout(pointer, seconds)
    context.num_tickets = 1
    return True


def order_suites(context: ssl.SSLContext) -> None:
    """The suites of TLS 1.3, the quickest first. Where OpenSSL cannot be reached its own order stands."""
    if _LIBRARY is not None:
        _LIBRARY.set_suites(_pointer(context), _SUITES)


def keep_none(context: ssl.SSLContext) -> None:
    """Hand out no ticket, and keep nothing for TLS 1.2, which resumes without one.

    Where OpenSSL cannot be reached, TLS 1.2 alone goes on resuming: its sessions are judged like any other.
    """
    context.num_tickets = 0  # OP_NO_TICKET alone leaves TLS 1.3's stateful tickets
    if _LIBRARY is not None:
        _LIBRARY.control(_pointer(context), _SET_MODE, _OFF, None)


def forget_sessions(context: ssl.SSLContext) -> None:
    """Whoever comes with a ticket of before shakes hands in full."""
    if _LIBRARY is not None:
        _LIBRARY.flush(_pointer(context), _NEVER)
