"""Tokens exchanged at a real provider, by a real gateway, for a real backend."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from gateway.testing.provider import Client, Provider, live_provider
from gateway.testing.tls import client_context, server_context
from gateway.testing.upstream import Upstream
from tests.flows.gateway_process import Served, prepared, serving
from tests.flows.trust_scene import STOCK, asked
from tests.serving import Answer, connected

SECRET = "the-gateways-own-secret"
REST = """
issuers:
  corp: {{issuer: "{issuer}", audiences: [api-service]}}
upstreams:
  stock:
    endpoints: ["{stock}"]
    tls: {{server_identity: "{identity}"}}
    token_exchange: {{client_id: gateway, client_secret: {secret}, audiences: [stock-api], scopes: [read]}}
  other:
    endpoints: ["{stock}"]
    tls: {{server_identity: "{identity}"}}
    token_exchange: {{client_id: gateway, client_secret: {secret}, audiences: [somebody-else]}}
routes:
  - {{name: stock, match: {{paths: ["/stock"]}}, upstream: stock, allow: [{{from: {{request_principals: ["*"]}}}}]}}
  - {{name: other, match: {{paths: ["/other"]}}, upstream: other, allow: [{{from: {{request_principals: ["*"]}}}}]}}
audit: {{directory: audit}}
state_dir: state
"""


@dataclass
class Scene:
    gateway: Served
    provider: Provider
    backend: Upstream
    root: Authority

    async def ask(self, path: str, token: str) -> Answer:
        async with connected(self.gateway.edge, client_context([self.root])) as client:
            return await asked(client, path, f"Authorization: Bearer {token}")


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncGenerator[Scene]:
    root = prepared(folder).authority("cluster-ca")
    backend = Upstream(tls=server_context(root.issue(uri=STOCK), [root]))
    client = Client("gateway", SECRET, exchanges=frozenset({"stock-api"}))
    async with live_provider(clients=[client]) as provider, backend:
        text = REST.format(issuer=provider.issuer.url, stock=backend.url, identity=STOCK, secret=SECRET)
        with contextlib.ExitStack() as stack:
            gateway = await asyncio.to_thread(stack.enter_context, serving(folder, text, issuer="corp"))
            try:
                yield Scene(gateway, provider, backend, root)
            finally:
                await asyncio.to_thread(stack.close)


async def test_a_backend_gets_a_token_of_its_own_and_an_outage_or_a_refusal_lets_nothing_through(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as held:
        issuer: Issuer = held.provider.issuer
        old, late = (issuer.token(name, scope="read write") for name in ("alice", "bob"))
        assert [(await held.ask("/stock", old)).status for _ in range(3)] == [200, 200, 200]
        assert held.provider.hits["/token"] == 1
        sent = {call.value("authorization") for call in held.backend.calls}
        assert len(sent) == 1
        new = str(sent.pop()).removeprefix("Bearer ")
        assert new != old
        assert all(old.encode() not in call.head for call in held.backend.calls)
        answer = await held.ask("/stock", new)  # it is meant for the backend alone
        assert (answer.status, answer.reason) == (401, "token_audience")

        answer = await held.ask("/other", old)
        assert (answer.status, answer.reason) == (403, "no_rule_allows")  # on the wire; the record says more
        assert b"somebody-else" not in answer.body

        held.provider.outage = True
        answer = await held.ask("/stock", late)
        assert (answer.status, answer.reason) == (503, "exchange_unavailable")
        assert answer.header(b"retry-after") == b"1"
        assert (await held.ask("/stock", old)).status == 200  # exchanged before
        held.provider.outage = False
        assert (await held.ask("/stock", late)).status == 200
        assert len(held.backend.calls) == 5
    written = b"".join(path.read_bytes() for path in (tmp_path / "audit").glob("*.jsonl"))
    assert b'"reason":"exchange_refused"' in written
    assert b'"reason":"exchange_unavailable"' in written
    for secret in (SECRET, old, new, late):
        assert secret.encode() not in written
        assert secret not in held.gateway.process.output
