"""Takes connections from a listening socket: bounded, with a deadline for the handshake, and a name for who failed.

Rule: accept plain, then hand the socket to the loop with the listener's context of this moment.
Invariant: a socket that was accepted becomes a connection or is closed, and its handshake is told to the observer.

A server of the loop's own (`create_server`) tells no peer of a failed handshake, and bounds neither their number nor
what waits in a socket that is closed.
"""

import _socket
import asyncio
import contextlib
import ctypes
import errno
import logging
import socket
import struct
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from gateway.app import plain_address
from gateway.kernel.patterns.blocks import InBlocks
from gateway.kernel.tls_layer import TlsLayer
from gateway.server.handshake import reason_of
from gateway.server.listener import Listener
from gateway.server.protocol import HttpProtocol
from gateway.server.proxied import BadProxyHeader, read_source
from gateway.server.tls import Contexts, ServerSide

log = logging.getLogger(__name__)

_BATCH = 64  # plain connections taken in one turn of the loop
_TLS_BATCH = 1  # and those with a handshake, a millisecond each: who is connected already has its turn in between
_BACKLOG = 4096  # connections that the kernel keeps for us
_HANDSHAKES = 512  # at work at one time; beyond, the oldest gives way: real clients take milliseconds
_FULL = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_FULL_PAUSE = 0.1  # seconds
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_DROP_SYN = (  # classic BPF over the TCP header: code, where to go on when true and when false, operand
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x45, 0, 1, 0x02),  # is SYN set?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
)

Address = tuple[str, int]
MakeProtocol = Callable[[Listener, Address, Address], HttpProtocol]


class Numbered(socket.socket):
    """A socket whose family, type and protocol are numbers: the standard class makes an enum of each at every look."""

    __slots__ = ()

    family = _socket.socket.family  # type: ignore[assignment]
    type = _socket.socket.type  # type: ignore[assignment]
    proto = _socket.socket.proto

    def accept(self) -> "tuple[Numbered, Any]":
        """As socket.socket.accept."""
        number, peer = self._accept()  # type: ignore[attr-defined]
        return Numbered(self.family, self.type, self.proto, number), peer


class Acceptor:
    """One listening socket of a listener."""

    def __init__(self, bound: socket.socket, listener: Listener, make: MakeProtocol) -> None:
        """`bound` is listening and non-blocking."""
        self.listener = listener
        self._socket = bound
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._at_work: dict[asyncio.Future[None], None] = {}  # handshakes and introductions, the oldest first
        self._open = False

    def start(self) -> None:
        """Begin to accept."""
        self._open = True
        self._loop.add_reader(self._socket.fileno(), self._ready)

    def deafen(self) -> None:
        """Let nobody begin a connection any more; see `deafen`."""
        deafen(self._socket)

    def close(self) -> None:
        """Accept what already waits, then close the socket: who was let in by the kernel is answered."""
        if not self._open:
            return
        for _ in range(_BACKLOG // _BATCH):
            if not self._take(_BATCH):
                break
        self._open = False
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    async def wait_closed(self) -> None:
        """Wait for the handshakes that are at work."""
        while self._at_work:
            await asyncio.wait(tuple(self._at_work))

    def _ready(self) -> None:
        self._take(_BATCH if self.listener.contexts is None else _TLS_BATCH)

    def _take(self, count: int) -> bool:
        """Accept so many; False when fewer waited."""
        for _ in range(count):
            try:
                accepted, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                if error.errno in _FULL:
                    self._pause(error)
                    return False
                continue  # the client was gone again (ECONNABORTED and its like)
            self._admit(accepted, (peer[0], peer[1]))
        return True

    def _admit(self, accepted: socket.socket, peer: Address) -> None:
        if self.listener.full:
            accepted.close()
            self.listener.observer.handshake(self.listener.name, peer[0], "overloaded", "too many connections")
            return
        accepted.setblocking(False)
        if len(self._at_work) >= _HANDSHAKES:
            next(iter(self._at_work)).cancel()
        local = accepted.getsockname()
        protocol = self._make(self.listener, peer, (local[0], local[1]))
        protocol.socket = accepted
        self.listener.arriving.add(protocol)
        if self.listener.proxies is None and self.listener.contexts is not None:
            self._shake(accepted, protocol, self.listener.contexts)
            return
        task = self._loop.create_task(self._connect(accepted, protocol))
        self._at_work[task] = None
        task.add_done_callback(self._at_work.pop)

    async def _connect(self, accepted: socket.socket, protocol: HttpProtocol) -> None:
        listener = self.listener
        if listener.proxies is not None and not await self._introduced(accepted, protocol, listener.proxies):
            return
        if listener.contexts is not None:
            self._shake(accepted, protocol, listener.contexts)
            return
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):  # it ended; nobody has to hear of it
                await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        finally:
            listener.arriving.discard(protocol)

    def _shake(self, accepted: socket.socket, protocol: HttpProtocol, contexts: Contexts) -> None:
        """Begin the handshake; it ends at its deadline at the latest, and `_shaken` hears how."""
        layer = TlsLayer(protocol, contexts.base, None, server_side=True)
        protocol.deadline.arm(self.listener.limits.header_timeout, layer.late)
        self._at_work[layer.shaken] = None
        layer.shaken.add_done_callback(partial(self._shaken, layer, protocol))
        _hand_over(layer, self._loop.connect_accepted_socket(lambda: layer, accepted))

    def _shaken(self, layer: TlsLayer, protocol: HttpProtocol, shaken: asyncio.Future[None]) -> None:
        """The handshake has ended: the observer is told how."""
        del self._at_work[shaken]
        listener, session, reason, detail = self.listener, layer.session, "", ""
        listener.arriving.discard(protocol)
        if shaken.cancelled():
            layer.abort()
            reason, detail = "overloaded", "gave way to newer handshakes"
        elif (failure := shaken.exception()) is not None:
            reason, detail = reason_of(failure)
        elif protocol.expired:
            reason, detail = "certificate_expired", "the session was resumed after its certificate had expired"
        sni, claimed = None, b""
        if isinstance(session, ServerSide):
            sni, claimed = session.sni, session.claimed
            session.claimed = b""  # it is part of `TlsFacts` now, or of no connection
        if not reason:
            listener.observer.handshake(listener.name, protocol.client[0], "", "")
            return
        protocol.deadline.close()
        listener.observer.handshake(listener.name, protocol.client[0], reason, detail, sni, claimed)

    async def _introduced(self, accepted: socket.socket, protocol: HttpProtocol, proxies: InBlocks) -> bool:
        """Whether it is known whose connection it is: a trusted proxy says so first. Else it is closed."""
        listener, proxy = self.listener, protocol.client[0]
        if not proxies(plain_address(proxy)):
            return True
        try:
            async with asyncio.timeout(listener.limits.header_timeout):  # noqa: TID251 - once a connection
                protocol.client = await read_source(self._loop, accepted) or protocol.client
        except asyncio.CancelledError:
            reason, detail = "overloaded", "gave way to newer handshakes"
        except TimeoutError:
            reason, detail = "timeout", "the PROXY header took too long"
        except BadProxyHeader as bad:
            reason, detail = "proxy_header", str(bad)
        except OSError:
            reason, detail = "closed", "the proxy closed the connection"
        else:
            return True
        accepted.close()
        listener.arriving.discard(protocol)
        listener.observer.handshake(listener.name, proxy, reason, detail)
        return False

    def _pause(self, error: OSError) -> None:
        """Out of file descriptors: the socket stays readable, so look away for a while instead of spinning."""
        log.error("listener %s cannot accept: %s", self.listener.name, error.strerror)
        self._loop.remove_reader(self._socket.fileno())
        self._loop.call_later(_FULL_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._open:
            with contextlib.suppress(OSError):
                self._loop.add_reader(self._socket.fileno(), self._ready)


def _hand_over(layer: TlsLayer, steps: Coroutine[Any, Any, object], _waited_for: object = None) -> None:
    """Step what gives a socket to the loop. It waits for one call back of the loop alone, for which a task is dear."""
    try:
        waits_for = steps.send(None)
    except StopIteration:
        return
    except OSError as failure:
        layer.connection_lost(failure)
        return
    waits_for._asyncio_future_blocking = False  # noqa: SLF001 - Future.__await__ asks it of who takes it
    waits_for.add_done_callback(partial(_hand_over, layer, steps))


def listen(host: str, port: int, *, reuse_port: bool = False, backlog: int = _BACKLOG) -> socket.socket:
    """A listening TCP socket. Raises OSError, naming the address in one line.

    With `reuse_port` several sockets share the address and the kernel spreads connections over them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = Numbered(family, socket.SOCK_STREAM)
    name = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
        bound.listen(backlog)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on {name}: {os_text(error)}") from error
    bound.setblocking(False)
    return bound


def deafen(bound: socket.socket) -> None:
    """Drop each SYN that comes to a listening socket, in all processes that share it. It cannot be undone.

    Closing the socket resets whoever the kernel let in since the last accept, and a TCP handshake that is not at its
    end: of connections that come without a pause one in three closes lost some on Linux 6. A connection that has begun
    passes the filter; one that begins now is tried again by its kernel, and then refused. Elsewhere than on Linux
    nothing happens.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in _DROP_SYN))
    told = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(program))  # struct sock_fprog
    with contextlib.suppress(OSError):  # a kernel without it: the moment of the close is open, as it always was
        bound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, told)


def os_text(error: OSError) -> str:
    """What to do about it, in a few words."""
    if error.errno == errno.EADDRINUSE:
        return "the port is in use by another process"
    if error.errno == errno.EACCES:
        return "permission denied (ports below 1024 need a privilege)"
    return error.strerror or "unknown error"
