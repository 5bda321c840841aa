"""Whom a proxy that passes bytes on speaks for: the PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt).

Rule: only a proxy that the listener trusts is asked for it, and then it must come first, whole and in order.
Invariant: not a byte behind the header is read here: what follows is the client's own.
"""

import asyncio
import socket
from ipaddress import ip_address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_HEAD = len(SIGNATURE) + 4  # and version with command, family with transport, length
_LONGEST = 4096  # bytes behind the head: addresses, and what else the proxy tells
_LOCAL, _PROXY = 0x20, 0x21  # version 2 with its two commands
_UNSPECIFIED = 0x00
_ADDRESS = {0x11: 4, 0x21: 16}  # bytes of an address, by family and transport: TCP over IPv4 and over IPv6


class BadProxyHeader(Exception):  # noqa: N818 - what the proxy sent
    """The text says what is wrong with it."""


async def read_source(loop: asyncio.AbstractEventLoop, accepted: socket.socket) -> tuple[str, int] | None:
    """The client's address and port; None where the proxy speaks for itself, or cannot say.

    Raises BadProxyHeader, OSError.
    """
    head = await _exactly(loop, accepted, _HEAD)
    if not head.startswith(SIGNATURE):
        raise BadProxyHeader("it does not begin as a PROXY header of version 2")
    command, family, length = head[12], head[13], int.from_bytes(head[14:16])
    if command not in (_LOCAL, _PROXY):
        raise BadProxyHeader("another version or command")
    if length > _LONGEST:
        raise BadProxyHeader("it is too long")
    told = await _exactly(loop, accepted, length)
    if command == _LOCAL or family == _UNSPECIFIED:
        return None
    size = _ADDRESS.get(family)
    if size is None:
        raise BadProxyHeader("the client is neither on IPv4 nor on IPv6 over TCP")
    if length < 2 * size + 4:
        raise BadProxyHeader("it is too short for its addresses")
    return str(ip_address(told[:size])), int.from_bytes(told[2 * size : 2 * size + 2])


async def _exactly(loop: asyncio.AbstractEventLoop, accepted: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = await loop.sock_recv(accepted, size - len(got))
        if not piece:
            raise BadProxyHeader("it ends too early")
        got += piece
    return got
