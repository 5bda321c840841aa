"""Identity and trust that come over sockets: real processes, a real Workload API server, real bundle endpoints."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from gateway.testing.ca import Authority, Issued
from gateway.testing.tls import client_context, server_context
from gateway.testing.upstream import Upstream
from gateway.testing.wait import BOUND, until
from tests.bundles import bundle
from tests.control.feeds.provider import provider
from tests.flows.gateway_process import Served, prepared, serving
from tests.plain import NO_TLS
from tests.serving import Answer, Client, connected, get
from tests.workload_agent import OWN, Agent, agent, bundles, svid, svids

WEB, STOCK = "spiffe://cluster.local/web", "spiffe://cluster.local/stock"
PARTNER = "spiffe://partner.example/web"
HEAD = """\
version: 1
listeners:
  edge:
    address: 127.0.0.1:{edge}
    tls: {{certificate: certs/edge.pem, key: certs/edge.key}}
admin: {{address: "127.0.0.1:{admin}"}}
log: {{format: text}}
audit: {{directory: audit}}
state_dir: state
"""
ROUTES = """
upstreams:
  stock: {{endpoints: ["{stock}"], tls: {{server_identity: "spiffe://cluster.local/stock"}}}}
routes:
  - name: mesh
    match: {{paths: ["/mesh"]}}
    upstream: stock
    allow: [{{from: {{principals: ["*"]}}}}]
  - {{name: stock, match: {{paths: ["/stock"]}}, upstream: stock, public: true}}
  - {{name: health, match: {{paths: [/health]}}, public: true, respond: {{status: 200, body: ok}}}}
"""


@dataclass
class Scene:
    gateway: Served
    root: Authority  # of the trust domain cluster.local, and of the edge
    backend: Upstream

    @contextlib.asynccontextmanager
    async def connection(self, issued: Issued | None = None) -> AsyncGenerator[Client]:
        async with connected(self.gateway.edge, client_context([], issued)) as client:
            yield client

    async def ask(self, path: str, issued: Issued | None = None) -> Answer:
        async with self.connection(issued) as client:
            return await asked(client, path)

    async def becomes(self, status: int, path: str, issued: Issued | None = None, seconds: float = BOUND) -> float:
        """Wait until a new connection's request is answered so; how long that took."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                if (await self.ask(path, issued)).status == status:
                    return time.monotonic() - began
            assert time.monotonic() - began < seconds, self.gateway.process.output
            await asyncio.sleep(0.02)

    async def ready(self) -> tuple[int, str]:
        async with httpx2.AsyncClient(verify=NO_TLS, trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{self.gateway.admin}/readyz?verbose")
            return answer.status_code, answer.text


async def asked(client: Client, path: str) -> Answer:
    await client.send(get(path, host="localhost"))
    return await client.answer()


@contextlib.asynccontextmanager
async def scene(
    folder: Path, trust: str, *arguments: str, root: Authority | None = None, status: int = 200
) -> AsyncGenerator[Scene]:
    prepared(folder)
    root = root or Authority("cluster.local")
    async with Upstream(tls=server_context(root.issue(uri=STOCK), [root])) as backend:
        rest = trust + ROUTES.format(stock=backend.url)
        with contextlib.ExitStack() as stack:
            process = serving(folder, rest, *arguments, head=HEAD, status=status)
            gateway = await asyncio.to_thread(stack.enter_context, process)
            try:
                yield Scene(gateway, root, backend)
            finally:
                await asyncio.to_thread(stack.close)


@contextlib.asynccontextmanager
async def workload(folder: Path, *arguments: str, ready: bool = True) -> AsyncGenerator[tuple[Scene, Agent]]:
    root = Authority("cluster.local")
    with tempfile.TemporaryDirectory(prefix="wl") as short, agent(Path(short)) as held:
        if ready:
            held.give(svids=svids(svid(root.issue(uri=OWN), [root])), bundles=bundles(cluster_local=[root]))
        trust = f"identity: {{workload_api: '{held.address}'}}\n"
        trust += "trust_domains: {cluster.local: {bundle: workload_api}}\n"
        async with scene(folder, trust, *arguments, root=root, status=200 if ready else 503) as made:
            yield made, held


async def test_without_an_identity_it_is_not_ready_and_says_so_and_recovers_by_itself(tmp_path: Path) -> None:
    async with workload(tmp_path, ready=False) as (held, agent):
        assert (await held.ask("/health")).status == 200
        answer = await held.ask("/stock")
        assert (answer.status, answer.reason) == (503, "identity_unavailable")
        assert answer.header(b"retry-after")
        status, text = await held.ready()
        assert (status, "identity" in text) == (503, True)
        agent.give(svids=svids(svid(held.root.issue(uri=OWN), [held.root])), bundles=bundles(cluster_local=[held.root]))
        took = await held.becomes(200, "/stock", seconds=5)
        print(f"\nidentity to first answer: {took * 1000:.0f} ms")
        assert held.backend.calls[-1].spiffe_id == OWN
        assert (await held.ready())[0] == 200
        assert (await held.ask("/mesh", held.root.issue(uri=WEB))).status == 200
        field = held.backend.calls[-1].value("x-forwarded-client-cert")
        assert field is not None
        assert field.startswith(f"By={OWN};")


async def test_a_rotation_is_at_work_within_seconds_and_old_connections_end(tmp_path: Path) -> None:
    later = "spiffe://cluster.local/ns/gateway/sa/later"
    async with workload(tmp_path, "--workers", "2") as (held, agent):
        for _ in range(8):
            assert (await held.ask("/stock")).status == 200
        before = set(range(held.backend.connections))
        began = time.monotonic()
        agent.give(svids=svids(svid(held.root.issue(uri=later), [held.root], later)))
        await until(lambda: before <= held.backend.closed, seconds=5, what="the end of pooled connections")
        print(f"\nrotation to the end of pooled connections: {(time.monotonic() - began) * 1000:.0f} ms")
        shown: list[str | None] = []
        while shown[-8:] != [later] * 8:  # on every worker, also one that had no connection yet
            assert time.monotonic() - began < 5
            assert (await held.ask("/stock")).status == 200
            shown.append(held.backend.calls[-1].spiffe_id)


async def test_the_agent_may_go_and_what_it_said_last_holds(tmp_path: Path) -> None:
    async with workload(tmp_path) as (held, agent):
        web = held.root.issue(uri=WEB)
        await asyncio.to_thread(agent.stop)
        end = time.monotonic() + BOUND
        while "[!] identity" not in (text := (await held.ready())[1]) and "no connection" not in text:
            assert time.monotonic() < end, text
            await asyncio.sleep(0.05)
        assert (await held.ready())[0] == 200
        assert (await held.ask("/mesh", web)).status == 200
        later = Authority("cluster.local")
        agent.give(bundles=bundles(cluster_local=[held.root, later]))
        agent.start()
        await held.becomes(200, "/mesh", later.issue(uri=WEB), seconds=10)


async def test_M16_a_root_that_is_gone_is_gone_at_the_next_request_of_an_open_connection(tmp_path: Path) -> None:
    async with workload(tmp_path) as (held, agent):
        other = Authority("cluster.local")
        agent.give(bundles=bundles(cluster_local=[held.root, other]))
        guest = other.issue(uri=WEB)
        await held.becomes(200, "/mesh", guest)
        async with held.connection(guest) as client, held.connection(held.root.issue(uri=WEB)) as kept:
            assert (await asked(client, "/mesh")).status == 200
            agent.give(bundles=bundles(cluster_local=[held.root]))
            began, answer = time.monotonic(), await asked(client, "/mesh")
            while answer.status == 200:
                assert time.monotonic() - began < 5
                answer = await asked(client, "/mesh")
            print(f"\nroot gone to refusal on an open connection: {(time.monotonic() - began) * 1000:.0f} ms")
            assert (answer.status, answer.reason) == (401, "certificate_untrusted")
            assert (await asked(kept, "/mesh")).status == 200


async def test_a_partner_is_believed_once_its_bundle_came_and_no_longer_when_it_is_empty(tmp_path: Path) -> None:
    partner = Authority("partner.example")
    (tmp_path / "own.pem").write_bytes((root := Authority("cluster.local")).pem())
    async with provider() as endpoint:
        url = f"{endpoint.url}/bundle"
        trust = (
            "trust_domains:\n  cluster.local: {bundle: own.pem}\n"
            f"  partner.example: {{bundle: {{url: '{url}', profile: https_web}}}}\n"
        )
        async with scene(tmp_path, trust, root=root) as held:
            assert "bundle partner.example" in (await held.ready())[1]
            assert (await held.ask("/mesh", root.issue(uri=WEB))).status == 502  # the backend wants a certificate
            issued = partner.issue(uri=PARTNER)
            endpoint.page("/bundle", bundle(partner, hint=1))
            await held.becomes(502, "/mesh", issued)
            async with held.connection(issued) as client:
                assert (await asked(client, "/mesh")).status == 502
                endpoint.page("/bundle", bundle(sequence=2, hint=1))
                end, answer = time.monotonic() + BOUND, await asked(client, "/mesh")
                while answer.status == 502:
                    assert time.monotonic() < end
                    answer = await asked(client, "/mesh")
                assert (answer.status, answer.reason) == (401, "certificate_untrusted")


async def test_a_backend_whose_bundle_is_not_there_yet_is_unavailable_and_nobody_elses(tmp_path: Path) -> None:
    root = Authority("cluster.local")
    async with provider() as endpoint:
        url = f"{endpoint.url}/bundle"
        trust = (
            "identity: {certificate: certs/gateway.pem, key: certs/gateway.key}\n"
            f"trust_domains: {{cluster.local: {{bundle: {{url: '{url}', profile: https_web}}}}}}\n"
        )
        async with scene(tmp_path, trust, root=root) as held:
            answer = await held.ask("/stock")
            assert (answer.status, answer.reason) == (503, "keys_unavailable")
            assert (await held.ask("/health")).status == 200
            root.issue(uri=OWN).write(tmp_path / "certs", "gateway")
            endpoint.page("/bundle", bundle(root, hint=1))
            await held.becomes(200, "/stock")
            endpoint.page("/bundle", bundle(sequence=2, hint=1))
            await held.becomes(502, "/stock")
