"""The browser application's own small server: static files and the settings that they need.

Rule: its pages may load nothing from elsewhere and call nobody but the provider and the gateway.
Invariant: it holds no secret and no token; those live in the browser alone.
"""

from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

_FILES = {
    "/": ("page.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/app.css": ("app.css", "text/css"),
}


def application(settings: Mapping[str, str]) -> Starlette:
    """An ASGI application that serves the page; `settings` names issuer, client_id and gateway."""
    headers = {
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; frame-ancestors 'none'; "
        f"base-uri 'none'; form-action 'none'; connect-src 'self' {settings['issuer']} {settings['gateway']}",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }

    async def file(request: Request) -> Response:
        name, media_type = _FILES[request.url.path]
        return FileResponse(Path(__file__).with_name(name), media_type=media_type, headers=headers)

    async def config(_: Request) -> Response:
        return JSONResponse(dict(settings), headers=headers)

    return Starlette(routes=[*(Route(path, file) for path in _FILES), Route("/config.json", config)])
