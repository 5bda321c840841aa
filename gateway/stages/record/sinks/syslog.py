"""Audit lines as syslog messages (RFC 5424), over a Unix socket, UDP, TCP or TLS.

Streams are framed by octet counting (RFC 6587 section 3.4.1, RFC 5425); the message is the line, without its newline.
A connection that the other side gave up is noticed before the next batch; what was on its way then may be lost or
doubled, which `seq` shows.
"""

import os
import re
import socket
import ssl
from errno import EPROTOTYPE
from urllib.parse import urlsplit

_PRIORITY = 13 * 8 + 6  # facility "log audit", severity "informational"
_TIMEOUT = 5.0  # seconds, of connecting and of each write
_HEAD = re.compile(rb'\{"type":"([a-z_]+)","time":"([0-9T:.Z-]+)"')


class Syslog:
    """One sender. `address`: unix:///PATH, udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._scheme = parts.scheme
        self._where = (parts.hostname or "", parts.port or 0)
        self._path = parts.path
        self._who = f"{socket.gethostname()} gateway {os.getpid()}".encode("ascii", "replace")
        self._socket: socket.socket | None = None
        self._framed = False

    def __call__(self, lines: list[bytes]) -> None:
        """Raises OSError."""
        try:
            connected = self._ready()
            while lines:
                message = self._message(lines[0])
                connected.sendall(b"%d %s" % (len(message), message) if self._framed else message)
                del lines[0]
        except OSError:
            self._give_up()
            raise

    def _message(self, line: bytes) -> bytes:
        found = _HEAD.match(line)
        kind, time = found.groups() if found else (b"-", b"-")
        return b"<%d>1 %s %s %s - %s" % (_PRIORITY, time, self._who, kind, line.rstrip(b"\n"))

    def _ready(self) -> socket.socket:
        if self._socket is not None and self._framed and _ended(self._socket):
            self._give_up()
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        if self._scheme == "unix":
            return self._local()
        if self._scheme == "udp":
            family, kind, protocol, _, where = socket.getaddrinfo(*self._where, type=socket.SOCK_DGRAM)[0]
            made = socket.socket(family, kind, protocol)
            made.settimeout(_TIMEOUT)
            made.connect(where)
            self._framed = False
            return made
        made = socket.create_connection(self._where, _TIMEOUT)
        self._framed = True
        if self._scheme == "tls":
            try:
                made = ssl.create_default_context().wrap_socket(made, server_hostname=self._where[0])
            except OSError:
                made.close()
                raise
        return made

    def _local(self) -> socket.socket:
        """Of datagrams, as /dev/log usually is, else a stream."""
        try:
            made = self._local_of(socket.SOCK_DGRAM)
        except OSError as error:
            if error.errno != EPROTOTYPE:
                raise
            made = self._local_of(socket.SOCK_STREAM)
        self._framed = made.type == socket.SOCK_STREAM
        return made

    def _local_of(self, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, kind)
        made.settimeout(_TIMEOUT)
        try:
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        return made

    def _give_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _ended(connected: socket.socket) -> bool:
    """Whether the other side has closed; syslog servers say nothing otherwise."""
    if isinstance(connected, ssl.SSLSocket):
        connected.setblocking(False)
        try:
            return not connected.recv(1)
        except ssl.SSLWantReadError:
            return False
        except OSError:
            return True
        finally:
            connected.settimeout(_TIMEOUT)
    try:
        return not connected.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
