"""The Starlette application of the admin address.

Every request passes the guard before its path is looked at; what is not listed does not exist.
Calls of the guarded part are audit records, the refused ones too; probes and scrapes are not.
"""

import asyncio
import json
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admin.console import page
from gateway.admin.guard import AdminSettings, host_is_ours, origin_is_ours, token_is_right
from gateway.admin.source import AdminCall, AdminSource, Check
from gateway.kernel.cells.exposition import expose

_SAFE = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


def admin_app(settings: AdminSettings, source: AdminSource) -> ASGIApp:
    """The application; without a token only /livez, /readyz and /metrics exist."""
    paths = _Paths(settings, source)
    routes = [
        Route("/livez", paths.livez, methods=["GET"]),
        Route("/readyz", paths.readyz, methods=["GET"]),
        Route("/metrics", paths.metrics, methods=["GET"]),
    ]
    if settings.token is not None:
        routes += [
            Route("/status", paths.status, methods=["GET"]),
            Route("/console", paths.console, methods=["GET"]),
            Route("/reload", paths.reload, methods=["POST"]),
            Route("/drain", paths.drain, methods=["POST"]),
        ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    app.router.redirect_slashes = False
    return _Guard(app, settings)


class _Guard:
    """Host and Origin before anything else; the same fields on every answer."""

    def __init__(self, app: ASGIApp, settings: AdminSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_SAFE]
            await send(message)

        await (self._judge(scope) or self._app)(scope, receive, send_safe)

    def _judge(self, scope: Scope) -> Response | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        local = scope.get("server")
        if len(hosts) != 1 or not host_is_ours(hosts[0], self._settings, local[0] if local else None):
            return _problem(421, "the Host does not name this address")
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if any(not origin_is_ours(origin, hosts[0], self._settings) for origin in origins):
            return _problem(403, "another origin may not call this address")
        return None


class _Paths:
    """One method a path."""

    def __init__(self, settings: AdminSettings, source: AdminSource) -> None:
        self._settings = settings
        self._source = source

    async def livez(self, request: Request) -> Response:
        """The process answers: that is all."""
        return PlainTextResponse("ok\n")

    async def readyz(self, request: Request) -> Response:
        """200 when requests may be sent here, else 503; `?verbose` names every condition and dependency."""
        checks = await self._source.readiness()
        missing = [check for check in checks if check.needed and not check.ok]
        text = "ready\n" if not missing else f"not ready: {', '.join(check.name for check in missing)}\n"
        if "verbose" in request.query_params:
            text = "".join(_line(check) for check in checks) + text
        return PlainTextResponse(text, 503 if missing else 200)

    async def metrics(self, request: Request) -> Response:
        """The metrics; written in a thread, because hundreds of routes take tens of milliseconds."""
        metrics = await self._source.metrics()
        content_type, body = await asyncio.to_thread(expose, metrics, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    async def status(self, request: Request) -> Response:
        """What is at work."""
        await self._permit(request, "status")
        return _Pretty(await self._source.status())

    async def console(self, request: Request) -> Response:
        """The status as a page, and what readiness hangs on."""
        await self._permit(request, "console")
        text = page(await self._source.readiness(), await self._source.status())
        return HTMLResponse(text, headers={"content-security-policy": "default-src 'none'; frame-ancestors 'none'"})

    async def reload(self, request: Request) -> Response:
        """Read the file again; 422 and the old config when it does not hold."""
        await self._permit(request, "reload")
        reloaded = await self._source.reload()
        body = {"ok": reloaded.ok, "digest": reloaded.digest, "errors": list(reloaded.errors)}
        return _Pretty(body, 200 if reloaded.ok else 422)

    async def drain(self, request: Request) -> Response:
        """Begin to drain."""
        await self._permit(request, "drain")
        await self._source.drain()
        return _Pretty({"ok": True}, 202)

    async def _permit(self, request: Request, action: str) -> None:
        """Record the call, then refuse it or let it go on. Raises HTTPException(401)."""
        client = request.client.host if request.client is not None and request.client.host else "unix"
        fields = request.headers.getlist("authorization")
        right = len(fields) == 1 and token_is_right(fields[0], self._settings)
        await self._source.record(AdminCall(action, 200 if right else 401, client))
        if not right:
            raise HTTPException(401, "the admin token is needed", {"www-authenticate": 'Bearer realm="gateway admin"'})


class _Pretty(JSONResponse):
    """JSON for people too."""

    def render(self, content: object) -> bytes:
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _line(check: Check) -> str:
    mark = "+" if check.ok else "-" if check.needed else "!"
    return f"[{mark}] {check.name}{': ' if check.detail else ''}{check.detail}\n"


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, HTTPException)  # noqa: S101 - registered for this one alone
    return _problem(refused.status_code, refused.detail, dict(refused.headers or {}))


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """RFC 9457."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, "application/problem+json")
