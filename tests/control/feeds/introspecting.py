"""An issuer's introspection endpoint on a real socket, which says what a test says and remembers who asked."""

import asyncio
import contextlib
import ssl
from base64 import b64decode
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.testing.serve import serving

NO = {"active": False}


@dataclass
class Asked:
    """One question."""

    form: dict[str, str]
    headers: dict[str, str]

    @property
    def basic(self) -> tuple[str, str]:
        scheme, _, encoded = self.headers["authorization"].partition(" ")
        assert scheme == "Basic"
        client, _, secret = b64decode(encoded).decode().partition(":")
        return unquote_plus(client), unquote_plus(secret)


class Introspection:
    """`answers` by token; what is not there is not active. `status` and `body` take their place when set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.endpoint = f"{url}/introspect"  # as its metadata name it
        self.answers: dict[str, Any] = {}
        self.asked: list[Asked] = []
        self.status = 200
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}
        self.hold: asyncio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        answer = await self._answer(request)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.url.path == "/.well-known/openid-configuration":
            return JSONResponse({"issuer": self.url, "introspection_endpoint": self.endpoint})
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.asked.append(Asked(form, dict(request.headers)))
        if self.hold is not None:
            await self.hold.wait()
        if self.body is not None or self.status != 200:
            return Response(self.body or b"", self.status, self.headers)
        return JSONResponse(self.answers.get(form.get("token", ""), NO), headers=self.headers)


@contextlib.asynccontextmanager
async def introspection(*, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Introspection]:
    made: list[Introspection] = []

    def make(url: str) -> Introspection:
        made.append(Introspection(url))
        return made[0]

    async with serving(make, tls=tls):
        yield made[0]
