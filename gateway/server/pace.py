"""How slow a client may be: the least data rate of its listener.

Rule: a client has a window of seconds to spend: each that it is waited for takes one, each byte of it gives back the
time that the least rate allows for a byte. Invariant: no I/O and no clock; who keeps to the rate never runs out, who
stands still runs out after one window, and what came early is no reserve beyond it.
"""

import socket
import struct

from gateway.server.settings import Limits

_NEVER = float("inf")
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)  # Linux
_ACKED = struct.Struct("=120xQ16xI")  # of tcp_info: tcpi_bytes_acked, and tcpi_notsent_bytes behind it


class Pace:
    """One body on its way, in either direction."""

    __slots__ = ("_rate", "_since", "_window", "left")

    def __init__(self, limits: Limits) -> None:
        self._rate = limits.min_data_rate
        self._window = limits.data_rate_window
        self._since: float | None = None  # when it was asked for more
        self.left = self._window if self._rate else _NEVER  # seconds that it may still be waited for

    def awaited(self, now: float) -> None:
        """More of it is asked for. `now`: as in `came`."""
        self._since = now

    def came(self, size: int, now: float) -> None:
        """So many bytes of it; what comes before it is asked for takes no time."""
        since, self._since = self._since, None
        self.moved(0.0 if since is None else now - since, size)

    def moved(self, seconds: float, size: int) -> None:
        """It was waited for so long, and so many bytes came of it."""
        if self._rate:
            self.left = min(self._window, self.left - seconds + size / self._rate)


def taken(sock: socket.socket | None) -> tuple[int, int] | None:
    """How many bytes the peer's system has acknowledged, and how many ours has not sent yet; None where it cannot tell.

    What no write buffer shows: that of TLS moves in steps of 64 KiB, minutes apart for a client that is only slow.
    """
    if _TCP_INFO is None or sock is None:
        return None
    try:
        acked, unsent = _ACKED.unpack_from(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKED.size))
    except (OSError, struct.error):
        return None
    return int(acked), int(unsent)
