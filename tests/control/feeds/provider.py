"""An issuer's web server on a real socket, whose every answer a test sets."""

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.testing.issuer import Issuer
from gateway.testing.serve import serving


class Provider:
    """Answers `pages` by path: (status, headers, body); counts what was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.issuer = Issuer(url)
        self.asked: Counter[str] = Counter()
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.hold: asyncio.Event | None = None
        self.publish()

    def page(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.pages[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, data)

    def publish(self) -> None:
        """Serve the metadata and the issuer's present keys."""
        self.page("/.well-known/openid-configuration", {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"})
        self.page("/jwks", self.issuer.jwks())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.asked[path] += 1
        if self.hold is not None:
            await self.hold.wait()
        status, headers, body = self.pages.get(path, (404, {}, b""))
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def provider(*, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncGenerator[Provider]:
    made: list[Provider] = []

    def make(url: str) -> Provider:
        made.append(Provider(url))
        return made[0]

    async with serving(make, host=host, tls=tls):
        yield made[0]
        if made[0].hold is not None:
            made[0].hold.set()
