"""Where httpx2's clients connect: an HTTP transport under the egress rules.

Rule: a name is resolved and judged at each request, and what is connected to is the address that was judged.
Invariant: the name that the handshake verifies and that is sent as Host stays the URL's; no body is read without bound.
"""

import ssl

import httpx2

from gateway.control.feeds.fetch import LIMIT, FetchError, read_body
from gateway.kernel.egress import Egress, resolve

_PORTS = {"https": 443, "http": 80}


class GuardedTransport(httpx2.AsyncBaseTransport):
    """For an httpx2 client, which closes it. Answers are read whole."""

    def __init__(
        self, egress: Egress, context: ssl.SSLContext | None, *, connections: int = 1, longest: int = LIMIT
    ) -> None:
        """`context`: None for plain HTTP alone; `connections`: open at most; `longest`: bytes of a body."""
        self._longest = longest
        self._egress = egress
        self._inner = httpx2.AsyncHTTPTransport(
            verify=context or False, trust_env=False, retries=0, limits=httpx2.Limits(max_connections=connections)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises OSError or ValueError where nothing may be connected to, FetchError, httpx2.HTTPError."""
        host = request.url.host
        addresses = await resolve(host, request.url.port or _PORTS[request.url.scheme], self._egress)
        failure: Exception = FetchError(f"{host} does not resolve to an address")
        for address in addresses:
            extensions = {**request.extensions, "sni_hostname": host}
            url = request.url.copy_with(host=str(address))
            there = httpx2.Request(
                request.method, url, headers=request.headers, stream=request.stream, extensions=extensions
            )
            try:
                answer = await self._inner.handle_async_request(there)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
                continue
            try:
                body = await read_body(host, answer, self._longest)
            finally:
                await answer.aclose()
            return httpx2.Response(answer.status_code, headers=answer.headers, content=body, request=request)
        raise failure

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()
