"""A gateway between an OpenID provider, an mTLS backend and clients, all of whose trust a test can change."""

import asyncio
import contextlib
import ssl
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from gateway.testing.ca import Authority, Issued
from gateway.testing.pki import Folder
from gateway.testing.tls import client_context, server_context
from gateway.testing.upstream import Upstream
from gateway.testing.wait import BOUND
from tests.control.feeds.provider import Provider, provider
from tests.flows.gateway_process import HEAD, Served, prepared, serving
from tests.plain import NO_TLS
from tests.serving import Answer, Client, connected, get

STOCK = "spiffe://cluster.local/ns/default/sa/stock"
WEB = "spiffe://cluster.local/ns/default/sa/web"
OWN = "spiffe://cluster.local/ns/gateway/sa/gateway"
ROUTES = """
issuers:
  corp: {{issuer: "{issuer}", audiences: [api-service]{keys}}}
upstreams:
  stock: {{endpoints: ["{stock}"], tls: {{server_identity: "spiffe://cluster.local/ns/default/sa/stock"}}}}
routes:
  - name: api
    match: {{paths: ["/api/*"]}}
    upstream: stock
    allow: [{{from: {{request_principals: ["*"]}}}}]
  - name: mesh
    match: {{paths: ["/mesh"]}}
    upstream: stock
    allow: [{{from: {{trust_domains: [cluster.local]}}}}]
  - {{name: health, match: {{paths: [/health]}}, public: true, respond: {{status: 200, body: ok}}}}
audit: {{directory: audit}}
state_dir: state
{more}"""


def mount(folder: Path, issued: Issued, name: str) -> None:
    """NAME.pem and NAME.key through a link to a folder, which is renamed into its place."""
    data = folder / f"..{name}"
    fresh = Path(tempfile.mkdtemp(prefix=f"{data.name}-", dir=folder))
    issued.write(fresh, name)
    (link := fresh / "link").symlink_to(fresh.name)
    link.replace(data)
    for path in (folder / f"{name}.pem", folder / f"{name}.key"):
        if not path.is_symlink():
            path.unlink()
            path.symlink_to(f"{data.name}/{path.name}")


@dataclass
class Scene:
    """A gateway between a provider, a backend and clients of its trust domain."""

    gateway: Served
    certs: Folder
    root: Authority
    provider: Provider
    backend: Upstream
    pause: float = 0.02  # seconds between two looks at the metrics

    def client(self, issued: Issued | None = None) -> ssl.SSLContext:
        return client_context([self.root], issued)

    def bearer(self, **claims: object) -> str:
        return f"Authorization: Bearer {self.provider.issuer.token(**claims)}"  # type: ignore[arg-type]

    def write(self, issued: Issued, name: str) -> Issued:
        """The certificate and the key in one step, as Kubernetes writes a mounted secret."""
        mount(self.certs.path, issued, name)
        return issued

    async def admin(self, path: str) -> str:
        async with httpx2.AsyncClient(verify=NO_TLS, trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.gateway.admin}{path}")).text

    async def metric(self, metric: str, /, **labels: str) -> float:
        """The sum of the rows that have these labels."""
        rows = [row for row in (await self.admin("/metrics")).splitlines() if row.startswith(f"gateway_{metric}{{")]
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(row.rpartition(" ")[2]) for row in rows if all(one in row for one in wanted))

    async def comes(self, value: float, metric: str, /, **labels: str) -> None:
        """Wait until a metric stands at `value` or more."""
        end = time.monotonic() + BOUND
        while await self.metric(metric, **labels) < value:
            assert time.monotonic() < end, (metric, labels, value, self.gateway.process.output)
            await asyncio.sleep(self.pause)

    async def reloaded(self, role: str, name: str, count: float = 1, result: str = "success") -> None:
        await self.comes(count, "certificate_reloads_total", role=role, name=name, result=result)

    @contextlib.asynccontextmanager
    async def connection(self, issued: Issued | None = None) -> AsyncGenerator[Client]:
        async with connected(self.gateway.edge, self.client(issued)) as client:
            yield client

    async def ask(self, path: str, *fields: str, issued: Issued | None = None) -> Answer:
        async with self.connection(issued) as client:
            return await asked(client, path, *fields)


async def posted(client: Client, path: str, body: str, kind: str) -> Answer:
    """What a POST is answered."""
    fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}"
    await client.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n{body}".encode())
    return await client.answer()


async def asked(client: Client, path: str, *fields: str) -> Answer:
    await client.send(get(path, *fields, host="localhost"))
    return await client.answer()


@contextlib.asynccontextmanager
async def scene(
    folder: Path, *arguments: str, ready: bool = True, keys: str = "", more: str = "", head: str = HEAD
) -> AsyncGenerator[Scene]:
    """`keys`: more of the issuer's entry; `more`: of the file; `head`: in the place of its beginning."""
    certs = prepared(folder)
    root = certs.authority("cluster-ca")
    mount(certs.path, root.issue(dns=["localhost"], ips=["127.0.0.1"]), "edge")
    mount(certs.path, root.issue(uri=OWN), "gateway")
    backend = Upstream(tls=server_context(root.issue(uri=STOCK), [root]))
    async with provider() as held, backend:
        text = ROUTES.format(issuer=held.url, stock=backend.url, keys=keys, more=more)
        pages = held.pages
        if not ready:
            held.pages = {}
        with contextlib.ExitStack() as stack:
            issuer = "corp" if ready else None
            process = serving(folder, text, *arguments, issuer=issuer, head=head)
            gateway = await asyncio.to_thread(stack.enter_context, process)
            try:
                yield Scene(gateway, certs, root, held, backend)
            finally:
                held.pages = pages
                await asyncio.to_thread(stack.close)
