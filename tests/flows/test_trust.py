"""Trust that survives rotation, revocation and outages: real processes, real handshakes, real load.

Figures that the closing notes quote are printed (`pytest -s`); the bounds that are asserted hold on a busy machine too.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.testing.ca import Authority, Issued
from gateway.testing.wait import BOUND, until
from tests.flows.gateway_process import serving
from tests.flows.trust_scene import OWN, ROUTES, WEB, Scene, asked, scene
from tests.serving import Client


@dataclass
class Load:
    """Clients that ask without a pause and never forgive."""

    of: Scene
    fields: list[str] = field(default_factory=list)
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    stop: bool = False

    async def client(self, path: str, requests: int, issued: Issued | None) -> None:
        """So many requests a connection, then a new one."""
        while self.going():
            try:
                async with self.of.connection(issued) as client:
                    for _ in range(requests):
                        answer = await asked(client, path, *(self.fields if path.startswith("/api") else ()))
                        self.answered += 1
                        if answer.status != 200:
                            self.failed.append(f"{path}: {answer.status} {answer.body!r}")
                        if not self.going() or answer.header(b"connection") == b"close":
                            break
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(f"{path}: {error!r}")

    def going(self) -> bool:
        return not self.stop

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["Load"]:
        web = self.of.root.issue(uri=WEB)
        kinds = [("/api/x", 1000, None), ("/api/x", 5, None), ("/mesh", 1000, web), ("/mesh", 5, web)]
        tasks = [asyncio.create_task(self.client(*kind)) for kind in kinds]
        try:
            await self.more()
            yield self
            await self.more()
        finally:
            self.stop = True
            await asyncio.gather(*tasks)

    async def more(self, count: int = 20) -> None:
        before = self.answered
        await until(lambda: bool(self.failed) or self.answered >= before + count, what="more answers")


async def test_no_request_fails_while_everything_rotates(tmp_path: Path) -> None:
    """Edge certificate, the gateway's identity, the bundle and the provider's keys, under load."""
    async with scene(tmp_path) as held:
        load = Load(held, [held.bearer()])
        async with load.running():
            for turn in (1, 2):
                held.write(held.root.issue(dns=["localhost"], ips=["127.0.0.1"]), "edge")
                await held.reloaded("listener", "edge", turn)
                held.write(held.root.issue(uri=OWN), "gateway")
                await held.reloaded("identity", "identity", turn)
                await load.more()
            joined = held.root.pem() + Authority("cluster.local").pem()
            (held.certs.path / "cluster-ca.pem").write_bytes(joined)
            await held.reloaded("bundle", "cluster.local")
            held.provider.issuer.rotate()
            held.provider.publish()
            load.fields = [held.bearer()]  # by the new key, which the gateway has not seen yet
            await load.more()
            connections = held.backend.connections
        assert load.failed == []
        assert await held.metric("certificate_reloads_total") >= 5
        assert await held.metric("certificate_reloads_total", role="listener", result="failure") == 0
        assert held.backend.closed >= set(range(connections - 16)), "pooled connections of the old identity ended"
        print(f"\nrotation: {load.answered} requests, {len(load.failed)} failed, 6 rotations")


async def test_a_half_written_pair_keeps_the_old_one_and_says_so_everywhere(tmp_path: Path) -> None:
    async with scene(tmp_path) as held:
        async with Load(held, [held.bearer()]).running() as load:
            (held.certs.path / "edge.pem").write_text("half a certi")
            await held.reloaded("listener", "edge", result="failure")
            await load.more()
        assert load.failed == []
        verbose = await held.admin("/readyz?verbose")
        assert "[!] listener edge: " in verbose
        assert verbose.endswith("ready\n")
        assert "the last good one stays in force" in held.gateway.process.output
        fresh = held.write(held.root.issue(dns=["localhost"]), "edge")
        await held.reloaded("listener", "edge")
        assert "listener edge" not in await held.admin("/readyz?verbose")
        ends = await held.metric("certificate_expiry_timestamp_seconds", role="listener", name="edge")
        assert ends == fresh.cert.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_M17_a_revocation_ends_open_connections_at_their_next_request_within_a_second(
    tmp_path: Path, workers: str
) -> None:
    async with scene(tmp_path, "--workers", workers) as held, contextlib.AsyncExitStack() as stack:
        stolen, other = held.root.issue(uri=WEB), held.root.issue(uri=WEB)
        connections = [await stack.enter_async_context(held.connection(stolen)) for _ in range(6)]  # over both workers
        for client in connections:
            assert (await asked(client, "/mesh")).status == 200
        (held.certs.path / "cluster.crl").write_bytes(held.root.crl([stolen], number=2))
        began = time.monotonic()
        waited = [await _refused(client, began) for client in connections]
        assert max(waited) < 1.0, waited
        assert (await held.ask("/mesh", issued=stolen)).status == 401
        assert (await held.ask("/mesh", issued=other)).status == 200
        print(f"\nrevocation to refusal, {workers} workers: {max(waited) * 1000:.0f} ms")


async def _refused(client: Client, began: float) -> float:
    """Seconds from `began` until an open connection is answered 401."""
    while True:
        answer = await asked(client, "/mesh")
        waited = time.monotonic() - began
        if answer.status == 401:
            assert answer.reason == "certificate_untrusted"  # on the wire; the record says revoked
            return waited
        assert answer.status == 200
        assert waited < BOUND
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_K5_a_flood_of_unknown_kids_costs_one_fetch_and_harms_no_good_token(tmp_path: Path, workers: str) -> None:
    async with scene(tmp_path, "--workers", workers) as held:
        fetched = held.provider.asked["/jwks"]
        flood = [f"Authorization: Bearer {held.provider.issuer.token(headers={'kid': f'k{n}'})}" for n in range(1000)]
        good = held.bearer()
        statuses: list[int] = []
        waits: list[float] = []

        async def attack(part: list[str]) -> None:
            async with held.connection() as client:
                for bad in part:
                    answer = await asked(client, "/api/x", bad)
                    statuses.append(answer.status)

        async def work() -> None:
            async with held.connection() as client:
                while len(statuses) < len(flood):
                    began = time.monotonic()
                    assert (await asked(client, "/api/x", good)).status == 200
                    waits.append(time.monotonic() - began)

        await asyncio.gather(work(), work(), *(attack(flood[n::8]) for n in range(8)))
        assert statuses == [401] * 1000
        assert held.provider.asked["/jwks"] - fetched == 1
        assert len(waits) > 50
        assert await held.metric("jwks_refresh_total", issuer="corp", result="success") == fetched + 1
        print(f"\nflood, {workers} workers: 1 fetch; good tokens: {len(waits)} asked, none refused")


async def test_K7_a_provider_that_is_down_costs_its_own_routes_503_and_nobody_else_anything(tmp_path: Path) -> None:
    async with scene(tmp_path, ready=False) as held:
        good = held.bearer()
        answer = await held.ask("/api/x", good)
        assert (answer.status, answer.reason) == (503, "keys_unavailable")
        assert (answer.header(b"retry-after") or b"0") > b"0"
        assert (await held.ask("/health")).status == 200
        assert (await held.ask("/mesh", issued=held.root.issue(uri=WEB))).status == 200
        assert "[!] issuer corp" in await held.admin("/readyz?verbose")
        held.provider.publish()
        began = time.monotonic()
        while (answer := await held.ask("/api/x", good)).status != 200:
            assert (answer.status, answer.reason) == (503, "keys_unavailable")
            assert time.monotonic() - began < BOUND
            await asyncio.sleep(0.02)
        print(f"\nprovider back to served: {time.monotonic() - began:.2f} s")


async def test_K6_a_provider_that_goes_down_is_missed_by_nobody_over_a_restart(tmp_path: Path) -> None:
    async with scene(tmp_path) as held:
        good = held.bearer()
        assert (await held.ask("/api/x", good)).status == 200
        held.provider.pages = {}
        held.gateway.process.stop()
        again = serving(tmp_path, ROUTES.format(issuer=held.provider.url, stock=held.backend.url, keys="", more=""))
        with contextlib.ExitStack() as stack:
            gateway = await asyncio.to_thread(stack.enter_context, again)
            restarted = Scene(gateway, held.certs, held.root, held.provider, held.backend)
            assert (await restarted.ask("/api/x", good)).status == 200
            fresh = f"Authorization: Bearer {held.provider.issuer.token(headers={'kid': 'new'})}"
            answer = await restarted.ask("/api/x", fresh)
            assert (answer.status, answer.reason) == (503, "keys_unavailable")  # nobody knows: no 401
            await asyncio.to_thread(stack.close)


async def test_a_refused_handshake_is_an_event_that_says_who_and_why(tmp_path: Path) -> None:
    async with scene(tmp_path) as held:
        stranger = Authority("cluster.local").issue(uri=WEB)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await held.ask("/mesh", issued=stranger)
        await held.comes(1, "tls_handshakes_total", result="refused", reason="certificate_untrusted")
        records = held.gateway.folder / "audit"

        def recorded() -> list[str]:
            lines = "".join(path.read_text() for path in records.glob("*.jsonl")).splitlines()
            return [line for line in lines if '"type":"handshake"' in line]

        await until(recorded, what="the record")
        (line,) = recorded()
        assert f'"certificate":"{WEB}"' in line
        assert '"sni":"localhost"' in line
        assert '"client_ip":"127.0.0.1"' in line
        assert '"reason":"certificate_untrusted"' in line
