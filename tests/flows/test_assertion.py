"""A backend believes the gateway: key sets at the well-known address, live rotation, workers that sign alike."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.testing.ca import Authority, Issued
from gateway.testing.keys import new_key, private_pem, write_private
from gateway.testing.tls import client_context, server_context
from gateway.testing.upstream import Upstream
from gateway.testing.wait import BOUND
from tests.assertions import read
from tests.flows.gateway_process import Served, prepared, serving
from tests.flows.trust_scene import OWN, STOCK, WEB
from tests.serving import Answer, connected, get

JWKS = "/.well-known/gateway/jwks.json"
REST = """
upstreams:
  stock: {{endpoints: ["{stock}"], tls: {{server_identity: "spiffe://cluster.local/ns/default/sa/stock"}}}}
routes:
  - name: mesh
    match: {{paths: ["/mesh"]}}
    upstream: stock
    allow: [{{from: {{trust_domains: [cluster.local]}}}}]
  - {{name: rest, match: {{paths: ["*"]}}, upstream: stock, public: true}}
policies:
  - {{name: nobody, action: deny, rules: [{{to: {{paths: ["/.well-known/*"]}}}}]}}
assertion: {assertion}
audit: {{directory: audit}}
state_dir: state
"""


@dataclass
class Scene:
    gateway: Served
    root: Authority
    backend: Upstream
    certs: Path

    def tls(self, issued: Issued | None = None) -> ssl.SSLContext:
        return client_context([self.root], issued)

    async def ask(self, request: bytes, issued: Issued | None = None, *, bodyless: bool = False) -> Answer:
        async with connected(self.gateway.edge, self.tls(issued)) as client:
            await client.send(request)
            return await client.answer(bodyless=bodyless)

    async def key_set(self) -> bytes:
        return (await self.ask(get(JWKS, host="any.example"))).body

    async def kids(self) -> list[str]:
        return [key["kid"] for key in json.loads(await self.key_set())["keys"]]

    async def asserted(self, issued: Issued) -> str:
        """What the backend was given of one request over a connection of its own."""
        assert (await self.ask(get("/mesh"), issued)).status == 200
        token = self.backend.calls[-1].value("x-gateway-assertion")
        assert token is not None
        return token


@contextlib.asynccontextmanager
async def scene(folder: Path, assertion: str, *arguments: str) -> AsyncGenerator[Scene]:
    certs = prepared(folder)
    root = certs.authority("cluster-ca")
    async with Upstream(tls=server_context(root.issue(uri=STOCK), [root])) as backend:
        text = REST.format(stock=backend.url, assertion=assertion)
        with contextlib.ExitStack() as stack:
            gateway = await asyncio.to_thread(stack.enter_context, serving(folder, text, *arguments))
            try:
                yield Scene(gateway, root, backend, certs.path)
            finally:
                await asyncio.to_thread(stack.close)


async def test_a_backend_reads_who_calls_and_a_new_key_is_taken_up_live(tmp_path: Path) -> None:
    async with scene(tmp_path, "{key: certs/assertion.key}") as held:
        web = held.root.issue(uri=WEB)
        answer = await held.ask(get(JWKS))
        assert (answer.status, answer.header(b"content-type")) == (200, b"application/jwk-set+json")
        before = await held.asserted(web)
        claims = read(before, answer.body, "stock")
        assert (claims["iss"], claims["sub"], claims["route"]) == (OWN, WEB, "mesh")
        assert await held.asserted(web) == before  # another connection, the same caller
        (first,) = await held.kids()
        write_private(held.certs / "assertion.key", private_pem(new_key()))
        kids = await held.kids()
        end = asyncio.get_running_loop().time() + BOUND
        while kids == [first]:
            assert asyncio.get_running_loop().time() < end
            await asyncio.sleep(0.02)
            kids = await held.kids()
        assert (len(kids), kids[1]) == (2, first)
        after = await held.asserted(web)
        for token in (before, after):
            assert read(token, await held.key_set(), "stock")["sub"] == WEB
        (held.certs / "cluster.crl").write_bytes(held.root.crl([web], number=2))
        last: list[int] = []

        async def refused() -> bool:
            last.append((await held.ask(get("/mesh"), web)).status)
            return last[-1] == 401

        while not await refused():
            assert asyncio.get_running_loop().time() < end
        assert last[-1] == 401  # what was asserted a moment ago serves it no more


async def test_workers_sign_with_one_key_that_was_made_at_the_start(tmp_path: Path) -> None:
    async with scene(tmp_path, "{}", "--workers", "2") as held:
        web = held.root.issue(uri=WEB)
        streams = tmp_path / "audit"
        seen: set[str] = set()
        tokens: set[str] = set()

        def both() -> bool:
            lines = {path.name.split("-w")[1][0] for path in streams.glob("*.jsonl") if '"mesh"' in path.read_text()}
            return lines == {"0", "1"}

        end = asyncio.get_running_loop().time() + BOUND
        while not both():
            seen |= set(await held.kids())
            tokens.add(await held.asserted(web))
            assert asyncio.get_running_loop().time() < end
        assert len(seen) == 1
        for token in tokens:
            assert read(token, await held.key_set(), "stock")["sub"] == WEB


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"HEAD " + JWKS.encode(), 200),
        (b"POST " + JWKS.encode(), 405),
        (b"OPTIONS " + JWKS.encode(), 405),
        (b"GET /.well-known/gateway/%6awks.json", 200),
        (b"GET /.well-known/x/../gateway/jwks.json?x=1", 200),
        (b"GET /.well-known/gateway/other", 403),
        (b"GET /.well-known/gateway%2fjwks.json", 400),
    ],
)
async def test_the_address_before_every_route_and_policy(shared: Scene, request_line: bytes, status: int) -> None:
    request = request_line + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    answer = await shared.ask(request, bodyless=request_line.startswith(b"HEAD"))
    assert answer.status == status
    assert not shared.backend.calls


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Scene]:
    async with scene(tmp_path_factory.mktemp("assertion"), "{key: certs/assertion.key}") as held:
        yield held


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"
