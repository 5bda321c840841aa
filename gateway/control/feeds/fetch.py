"""Documents over HTTPS, for the control plane.

Rule: https unless the host is this machine; no redirects, no proxies, no variables of the environment.
Invariant: the address that is connected to is one that the egress rules let through, and no more is read than wanted.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.control.feeds.freshness import lifetime
from gateway.kernel.egress import Egress, is_loopback_host

if TYPE_CHECKING:
    import httpx2

_CONNECT = 3.0  # seconds, a try
_TOTAL = 8.0  # seconds, for all of a document
LIMIT = 256 * 1024  # bytes
_SCHEMES = ("https", "http")


class FetchError(Exception):
    """A document cannot be had. The text names the host and why, and no part of the URL that could be a secret."""


class NotServedError(FetchError):
    """The server answered, with another status than 200."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Document:
    """What was answered."""

    body: bytes
    lifetime: float | None  # seconds for which the server calls it fresh; None: it does not say


@dataclass
class Fetcher:
    """Fetches documents for one issuer: its hosts, its private authority."""

    egress: Egress
    ca: Path | None
    total: float = _TOTAL  # seconds
    limit: int = LIMIT  # bytes
    accept: str = "application/json"
    context: Callable[[], ssl.SSLContext] | None = None  # in the place of one of `ca`
    _context: ssl.SSLContext | None = field(default=None, init=False)
    _ca_digest: bytes = field(default=b"", init=False)

    async def get(self, url: str) -> Document:
        """A 200 answer, its body at most `limit` bytes. Raises FetchError."""
        return await self._within(url, "GET", None, {})

    async def post(self, url: str, body: bytes, kind: str) -> Document:
        """The same for a POST of `body`, whose media type is `kind`."""
        return await self._within(url, "POST", body, {"content-type": kind})

    async def _within(self, url: str, method: str, content: bytes | None, headers: dict[str, str]) -> Document:
        try:
            async with asyncio.timeout(self.total):  # noqa: TID251 - no data path; 3.11's wait_for can lose a cancellation
                return await self._fetch(url, method, content, headers)
        except TimeoutError:
            raise FetchError(f"{urlsplit(url).hostname} did not answer within {self.total:g} s") from None

    async def _fetch(self, url: str, method: str, content: bytes | None, headers: dict[str, str]) -> Document:
        import httpx2  # 0.1 s of CPU: only where something is fetched

        from gateway.control.feeds.transport import GuardedTransport

        host = check_url(url)
        headers = {"accept": self.accept, "accept-encoding": "identity", **headers}
        try:
            context = self._tls() if url.startswith("https:") else None
            transport = GuardedTransport(self.egress, context, longest=self.limit)
            async with httpx2.AsyncClient(
                transport=transport,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx2.Timeout(self.total, connect=_CONNECT),
            ) as client:
                answer = await client.request(method, url, content=content, headers=headers)
        except (OSError, ValueError) as error:
            raise FetchError(f"{host}: {error}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchError(f"{host}: {type(error).__name__}: {error}") from None
        if answer.status_code != 200:
            raise NotServedError(f"{host} answered with status {answer.status_code}", answer.status_code)
        return Document(answer.content, lifetime(answer.headers))

    def _tls(self) -> ssl.SSLContext:
        """A client context of the issuer's own authority, else of the system's; made again when the file changes."""
        if self.context is not None:
            return self.context()
        data = self.ca.read_bytes() if self.ca is not None else None
        digest = sha256(data or b"").digest()
        if self._context is None or digest != self._ca_digest:
            self._context, self._ca_digest = client_context(data), digest
        return self._context


def client_context(authority: bytes | None) -> ssl.SSLContext:
    """A TLS context that believes the authority in PEM, else the system's. Raises ssl.SSLError, ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authority is not None:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    else:
        context.load_default_certs()
    return context


def check_url(url: str) -> str:
    """The host of a URL that may be fetched. Raises FetchError: another scheme, userinfo, plain http elsewhere."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise FetchError("not a URL") from None
    if parts.scheme not in _SCHEMES or not host or not url.isascii() or parts.username is not None or parts.fragment:
        raise FetchError("not a plain https:// URL")
    if parts.scheme == "http" and not is_loopback_host(host):
        raise FetchError(f"{host} is not on this machine: only https:// is fetched from elsewhere")
    return host


async def read_body(host: str, answer: "httpx2.Response", longest: int) -> bytes:
    """The body as it is, at most `longest` bytes. Raises FetchError."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise FetchError(f"{host} answered in an encoding that was not asked for")
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > longest:
            raise FetchError(f"{host} answered with more than {longest // 1024} kB")
    return bytes(body)
