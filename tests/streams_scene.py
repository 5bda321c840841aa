"""A whole worker in this process, a WebSocket backend behind it, and clients: what streams are tested in."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Origin, Subprotocol

from gateway.config.load import load
from gateway.control.worker import Worker, WorkerSettings, open_sockets
from gateway.server.server import DriverName
from gateway.testing.ca import Authority, Issued
from gateway.testing.issuer import Issuer
from gateway.testing.tls import client_context, server_context
from gateway.testing.wait import until
from tests import serving
from tests.serving import Client, connected

ISSUER = Issuer("https://auth.example.com")
WEB, STOCK, OWN = (f"spiffe://cluster.local/ns/default/sa/{name}" for name in ("web", "stock", "gateway"))
FILE = """\
version: 1
listeners:
  edge: {{address: "127.0.0.1:0", tls: {{certificate: edge.pem, key: edge.key, min_version: "1.2"}}}}
  plain: {{address: "127.0.0.1:0"}}
identity: {{certificate: gateway.pem, key: gateway.key}}
trust_domains: {{cluster.local: {{bundle: ca.pem, crl: ca.crl}}}}
issuers:
  corp: {{issuer: "https://auth.example.com", audiences: [api], jwks: jwks.json, clock_skew: 0s{keys}}}
upstreams:
  stock:
    endpoints: ["{backend}"]
    tls: {{server_identity: "spiffe://cluster.local/ns/default/sa/stock"}}
    timeouts: {{idle: {idle}}}
audit: {{directory: audit}}
state_dir: state
{more}
routes:
{routes}
"""
ROUTES = """\
  - name: chat
    match: {paths: ["/chat"]}
    upstream: stock
    websocket: {origins: ["https://app.example.com"], token_subprotocol: bearer}
    timeout: 300ms
    allow: [{from: {request_principals: ["*"]}}, {from: {trust_domains: [cluster.local]}}]
  - name: open
    match: {paths: ["/open"]}
    upstream: stock
    websocket: true
    public: true
  - name: plain
    match: {paths: ["/plain"]}
    upstream: stock
    allow: [{from: {request_principals: ["*"]}}]
"""


@cache
def root() -> Authority:
    return Authority("cluster.local")


@dataclass
class Backend:
    """Echoes what it is sent; notes what reached it."""

    url: str = ""
    opened: list[ServerConnection] = field(default_factory=list)
    closed: list[tuple[int | None, str | None]] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """Of the last handshake, by lower-case name."""
        request = self.opened[-1].request
        assert request is not None
        return {name.lower(): value for name, value in request.headers.raw_items()}

    async def serve(self, connection: ServerConnection) -> None:
        self.opened.append(connection)
        try:
            async for message in connection:
                await connection.send(message)
        finally:
            self.closed.append((connection.close_code, connection.close_reason))


@dataclass
class Scene:
    """The worker, and all around it."""

    folder: Path
    worker: Worker
    backend: Backend
    ports: dict[str, int]
    text: Callable[..., str]
    done: "asyncio.Task[int]"

    def token(self, **claims: object) -> str:
        return ISSUER.token(**{"aud": "api", **claims})  # type: ignore[arg-type]

    @contextlib.asynccontextmanager
    async def websocket(
        self,
        path: str = "/chat",
        *,
        token: str | None = "",
        issued: Issued | None = None,
        origin: str | None = None,
        subprotocols: Sequence[str] | None = None,
        headers: dict[str, str] | None = None,
        plain: bool = False,
        **options: Any,
    ) -> AsyncGenerator[ClientConnection]:
        """An open WebSocket; `token`: "" for a good one in Authorization."""
        fields = dict(headers or {})
        if token is not None:
            fields["Authorization"] = f"Bearer {token or self.token()}"
        scheme, listener = ("ws", "plain") if plain else ("wss", "edge")
        async with connect(
            f"{scheme}://localhost:{self.ports[listener]}{path}",
            ssl=None if plain else client_context([root()], issued),
            origin=None if origin is None else Origin(origin),
            subprotocols=None if subprotocols is None else [Subprotocol(each) for each in subprotocols],
            additional_headers=fields,
            proxy=None,
            **options,
        ) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def raw(self, issued: Issued | None = None) -> AsyncGenerator[Client]:
        async with connected(self.ports["edge"], client_context([root()], issued)) as client:
            yield client

    async def reload(self, routes: str = ROUTES) -> None:
        (self.folder / "routes.yaml").write_text(self.text(routes=routes))
        result = await self.worker.reload()
        assert result.ok, result.errors

    def records(self, kind: str = "outcome") -> list[dict[str, Any]]:
        lines = [
            line for path in sorted((self.folder / "audit").glob("*.jsonl")) for line in path.read_text().splitlines()
        ]
        return [record for record in map(json.loads, lines) if record["type"] == kind]

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in (self.folder / "audit").glob("*.jsonl"))

    async def outcome(self, number: int = 0) -> dict[str, Any]:
        """The so-manieth outcome, once it is written."""
        await until(lambda: len(self.records()) > number)
        return self.records()[number]

    def metric(self, name: str) -> dict[tuple[str, ...], object]:
        return {tuple(labels): value for labels, value in self.worker.runtime.metrics.dump()[name]}


@contextlib.asynccontextmanager
async def scene(
    folder: Path,
    *,
    routes: str = ROUTES,
    driver: DriverName | None = None,
    handler: Callable[[ServerConnection], Awaitable[None]] | None = None,
    url: str | None = None,
    idle: str = "60s",
    more: str = "",
    keys: str = "",
    **options: Any,
) -> AsyncGenerator[Scene]:
    """Serve. `url`: of another backend than the one that echoes; `options`: of that one; `keys`: of the issuer."""
    authority = root()
    for name, issued in {
        "edge": authority.issue(dns=["localhost"]),
        "gateway": authority.issue(uri=OWN),
    }.items():
        issued.write(folder, name)
    authority.write(folder, "ca")
    (folder / "ca.crl").write_bytes(authority.crl([]))
    (folder / "jwks.json").write_text(json.dumps(ISSUER.jwks()))
    backend = Backend()
    subprotocols = [Subprotocol("chat.v2"), Subprotocol("chat.v1")]
    options = {"select_subprotocol": choose, **options} if "subprotocols" not in options else options
    async with serve(
        handler or backend.serve, "127.0.0.1", 0, ssl=backend_tls(), **{"subprotocols": subprotocols, **options}
    ) as served:
        backend.url = url or f"https://127.0.0.1:{next(iter(served.sockets)).getsockname()[1]}"

        def text(routes: str = routes) -> str:
            return FILE.format(backend=backend.url, routes=routes, idle=idle, more=more, keys=keys)

        path = folder / "routes.yaml"
        path.write_text(text())
        config = load(path)
        sockets = open_sockets(config)
        ports = {name: bound.getsockname()[1] for name, bound in sockets.items()}
        chosen = driver or serving.default_driver
        worker = Worker(config, sockets, WorkerSettings(lambda: load(path), driver=chosen))
        done = asyncio.create_task(worker.run())
        await until(lambda: worker._server.accepting or done.done())
        try:
            yield Scene(folder, worker, backend, ports, text, done)
        finally:
            worker.drain()
            worker.drain()
            await done


def choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The first of ours that is offered; none where none is."""
    return next((Subprotocol(each) for each in ("chat.v2", "chat.v1") if each in offered), None)


async def within(seconds: float, awaitable: Awaitable[Any], *, at_least: float = 0.0) -> float:
    """How long it took, which is no longer than that."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):  # noqa: TID251 - a test's bound
        await awaitable
    took = time.monotonic() - began
    assert took >= at_least
    return took


def backend_tls() -> ssl.SSLContext:
    """Of a backend that proves what the upstream asks for."""
    return server_context(root().issue(uri=STOCK), [root()])
