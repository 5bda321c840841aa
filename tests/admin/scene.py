"""An admin address at work, for the tests of the admin application and of the commands that call it."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from gateway.admin import (
    AdminCall,
    AdminServer,
    AdminSettings,
    AdminSource,
    Check,
    Local,
    Reloaded,
    admin_app,
    bind_admin,
)
from gateway.kernel.cells import Metrics
from gateway.model.json import JSON
from tests.plain import NO_TLS

TOKEN = "t0k3n-of-the-operators"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@dataclass
class Gateway:
    """What is behind the address: a gateway that says what it was asked to do."""

    metrics: Metrics = field(default_factory=Metrics)
    checks: list[Check] = field(default_factory=lambda: [Check("config", ok=True), Check("audit", ok=True)])
    reloaded: Reloaded = field(default_factory=lambda: Reloaded(ok=True, digest="c0ffee"))
    reloads: int = 0
    drains: int = 0
    calls: list[AdminCall] = field(default_factory=list)
    sections: dict[str, Callable[[], JSON]] = field(
        default_factory=lambda: {"version": lambda: "0.1.0", "config": lambda: {"digest": "c0ffee"}}
    )

    def source(self) -> Local:
        return Local(
            metrics=self.metrics,
            checks=[lambda: self.checks],
            sections=self.sections,
            reload=self._reload,
            drain=self._drain,
            record=self.calls.append,
        )

    async def _reload(self) -> Reloaded:
        self.reloads += 1
        return self.reloaded

    def _drain(self) -> None:
        self.drains += 1


@asynccontextmanager
async def serving(
    source: AdminSource,
    *,
    token: str | None = TOKEN,
    host: str = "127.0.0.1",
    unix: Path | None = None,
    context: ssl.SSLContext | None = None,
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the admin address; `unix`: over that socket."""
    bound = bind_admin(str(unix), None) if unix is not None else bind_admin(host, 0)
    settings = AdminSettings("" if unix is not None else host, token, secure=context is not None)
    server = AdminServer(admin_app(settings, source), bound, context)
    await server.start()
    if unix is not None:
        transport, base = httpx2.AsyncHTTPTransport(uds=str(unix), verify=NO_TLS), "http://localhost"
    else:
        scheme = "https" if context is not None else "http"
        name = f"[{host}]" if ":" in host else host
        base = f"{scheme}://{name}:{bound.getsockname()[1]}"
        transport = httpx2.AsyncHTTPTransport(verify=trust if trust is not None else False)
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
            yield client
    finally:
        await server.stop()
