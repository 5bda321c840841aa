"""Facts that something else writes into the store: a hash of all devices, or a key for each.

Rule: they are as old as they say (`observed_at`); those that do not say are too old, for nobody knows when they were
written. An answer serves for 5 s.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from gateway.stages.posture.sources.asked import AskedSource

Read: TypeAlias = Callable[[tuple[bytes, ...]], Awaitable[bytes | None]]  # by a command; raises Unavailable

_REFRESH = 5.0  # seconds
_DEVICE = "{device}"


def store_command(key: str, device: str) -> tuple[bytes, ...]:
    """`HGET KEY DEVICE`, or `GET KEY` where the key names the device."""
    name = device.encode("utf-8", "surrogatepass")
    if _DEVICE in key:
        return b"GET", key.encode().replace(_DEVICE.encode(), name)
    return b"HGET", key.encode(), name


class StoreSource(AskedSource):
    """One key of the store. Made once, and kept over a reload while the store and the key stay the same."""

    def __init__(self, key: str, read: Read, max_age: float) -> None:
        """`max_age`: seconds that facts are fresh."""
        super().__init__("the store", lambda device: read(store_command(key, device)), max_age, _REFRESH, live=False)
