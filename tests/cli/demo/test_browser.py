"""The browser's way, walked against the real provider and a stand-in for the gateway."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.cli.demo.browser import Wrong, log_in_and_call, other_origin
from gateway.cli.demo.page import application
from gateway.cli.demo.place import Place
from gateway.testing.ca import Authority
from gateway.testing.process import free_port
from gateway.testing.provider import live_provider
from gateway.testing.scenario import USERS, clients
from gateway.testing.serve import serving
from gateway.testing.tls import server_context


def stand_in(app: str, *, origin: str | None = None, user: str = "alice", write: int = 403) -> Starlette:
    """Answers as the gateway should, but for what an argument spoils."""

    async def answer(request: Request) -> Response:
        headers = {"access-control-allow-origin": origin or app}
        if request.method == "OPTIONS":
            if request.headers["origin"] != app:
                kind = "application/problem+json"
                return JSONResponse({"reason": "cors_refused"}, 403, media_type=kind)
            return Response(status_code=204, headers=headers)
        if "authorization" not in request.headers:
            return JSONResponse({}, 401, headers=headers)
        if request.method == "POST":
            return JSONResponse({}, write, headers=headers)
        return JSONResponse({"headers": {"x-user": user}}, headers=headers)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "OPTIONS"])])


@asynccontextmanager
async def place(folder: Path, **spoilt: object) -> AsyncGenerator[Place]:
    ca = Authority("cluster.local")
    ca.write(folder, "ca")
    app = f"http://127.0.0.1:{free_port()}"
    async with (
        live_provider(clients=clients(app), users=USERS) as provider,
        serving(lambda _: application({"issuer": "", "gateway": ""}), port=urlsplit(app).port or 0),
        serving(lambda _: stand_in(app, **spoilt), tls=server_context(ca.issue(dns=["localhost"]))) as url,  # type: ignore[arg-type]
    ):
        yield Place(folder, 1, 1, urlsplit(url).port or 0, 1, provider.issuer.url, app)


async def test_a_right_gateway_passes(tmp_path: Path) -> None:
    async with place(tmp_path) as right:
        await log_in_and_call(right)
        await other_origin(right)


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        ({"origin": "*"}, "the preflight may be read by"),
        ({"user": "bob"}, "not told that alice"),
        ({"write": 200}, "a write was answered 200"),
    ],
)
async def test_a_wrong_one_is_found_out(spoilt: dict[str, object], says: str, tmp_path: Path) -> None:
    async with place(tmp_path, **spoilt) as wrong:
        with pytest.raises(Wrong, match=says):
            await log_in_and_call(wrong)
