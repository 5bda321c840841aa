"""An inventory of devices over HTTP: `GET URL`, 200 with an object of facts, 404 for a device that it does not know.

Rule: a device is one segment of the path, whatever it holds. An answer serves for a minute.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import quote

from gateway.stages.posture.sources.asked import AskedSource

Fetch: TypeAlias = Callable[[str], Awaitable[bytes | None]]  # None: not known there; raises Unavailable

_REFRESH = 60.0  # seconds


def device_url(template: str, device: str) -> str:
    """`{device}` as one segment: everything but unreserved characters percent-encoded (RFC 3986 section 2.3)."""
    return template.replace("{device}", quote(device, safe="", errors="surrogatepass"))


class HttpSource(AskedSource):
    """One inventory. Made once, and kept over a reload while its URL and authority stay the same."""

    def __init__(self, template: str, fetch: Fetch, max_age: float) -> None:
        """`max_age`: seconds that facts are fresh."""
        super().__init__(
            "the inventory", lambda device: fetch(device_url(template, device)), max_age, _REFRESH, live=True
        )
