"""The gateway's side of the Workload API against a real server with the official messages, beside py-spiffe."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from spiffe import TrustDomain, WorkloadApiClient

from gateway.control.feeds.watch import FileWatch
from gateway.control.feeds.workload_api import WorkloadApi, WorkloadSettings
from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics
from gateway.testing.ca import Authority
from gateway.testing.wait import until
from tests.workload_agent import OWN, Agent, agent, bundles, svid, svids

ROOT = Authority("cluster.local")


@pytest.fixture
def served() -> Generator[Agent]:
    with tempfile.TemporaryDirectory(prefix="wl") as folder, agent(Path(folder)) as held:
        yield held


@contextlib.asynccontextmanager
async def source(
    held: Agent, *, hint: str | None = None, with_bundles: bool = True, before: WorkloadApi | None = None
) -> AsyncGenerator[WorkloadApi]:
    settings = WorkloadSettings(held.address, hint, with_bundles)
    made = WorkloadApi(settings, before, health=FileHealth(Metrics()), watch=FileWatch(), clock=time.time)
    made.start()
    try:
        yield made
    finally:
        await made.close()


def fresh(root: Authority = ROOT) -> bytes:
    return svids(svid(root.issue(uri=OWN), [root]))


async def test_it_reads_what_py_spiffe_reads(served: Agent) -> None:
    served.give(svids=fresh(), bundles=bundles(cluster_local=[ROOT, Authority("cluster.local")], other_example=[ROOT]))
    with WorkloadApiClient(socket_path=served.address) as reader:
        theirs = await asyncio.to_thread(reader.fetch_x509_svid)
        roots = await asyncio.to_thread(reader.fetch_x509_bundles)
    async with source(served) as ours:
        await until(lambda: ours.svid and ours.bundles, what="an identity")
        held = ours.svid
        assert held is not None
        assert (held.id, OWN) == (str(theirs.spiffe_id), OWN)
        assert held.ends == theirs.leaf.not_valid_after_utc.timestamp()
        assert ours.bundles is not None
        for name in ("cluster.local", "other.example"):
            bundle = roots.get_bundle_for_trust_domain(TrustDomain(name))
            assert bundle is not None
            assert set(ours.bundles[name]) == set(bundle.x509_authorities)
    assert served.refused == 0


async def test_a_rotation_is_taken_up_at_once_and_a_bad_one_not_at_all(served: Agent) -> None:
    served.give(svids=fresh(), bundles=bundles(cluster_local=[ROOT]))
    async with source(served) as held:
        await until(lambda: held.svid and held.bundles, what="an identity")
        first, told = held.svid, []
        held.on_bundles(lambda: told.append(held.bundles))
        served.give(svids=svids(svid(ROOT.issue(uri=OWN), [Authority("cluster.local")])))
        served.give(bundles=bundles(cluster_local=[], other_example=[ROOT]))
        await until(lambda: told, what="bundles")
        assert held.svid is first
        served.give(svids=fresh())
        await until(lambda: held.svid is not first, what="another identity")
        assert held.generation == 2
        assert set(held.bundles or ()) == {"cluster.local", "other.example"}


async def test_the_last_good_one_stays_while_the_agent_is_away_and_it_comes_back(served: Agent) -> None:
    served.give(svids=fresh(), bundles=bundles(cluster_local=[ROOT]))
    async with source(served) as held:
        await until(lambda: held.svid and held.bundles, what="an identity")
        first = held.svid
        await asyncio.to_thread(served.stop)
        await until(lambda: held._failures > 1, what="retries")
        assert held.svid is first
        assert held._health.troubles["identity", "identity"].startswith(str(served.socket))
        served.give(svids=fresh())
        began = time.monotonic()
        served.start()
        await until(lambda: held.svid is not first, what="another identity")
        assert time.monotonic() - began < 5
        await until(lambda: not held._health.troubles, what="calm")


async def test_without_an_identity_it_asks_again(served: Agent) -> None:
    async with source(served, with_bundles=False) as held:
        await until(lambda: held._failures > 1, what="refusals")
        assert held.svid is None
        assert "no identity for this process" in held._health.troubles["identity", "identity"]
        served.give(svids=fresh())
        await until(lambda: held.svid, seconds=5, what="an identity")


async def test_a_socket_that_comes_later_is_found(served: Agent) -> None:
    served.stop()
    served.socket.unlink(missing_ok=True)
    async with source(served, with_bundles=False) as held:
        await held.settle(5)
        assert held.svid is None
        served.give(svids=fresh())
        served.start()
        await until(lambda: held.svid, seconds=5, what="an identity")


async def test_an_identity_that_ends_is_none(served: Agent) -> None:
    soon = ROOT.issue(uri=OWN, not_after=datetime.now(UTC) + timedelta(seconds=2))
    served.give(svids=svids(svid(soon, [ROOT])))
    async with source(served, with_bundles=False) as held:
        await until(lambda: held.svid, what="an identity")
        await until(lambda: held.generation == 2, what="its end")
        assert held.svid is None


async def test_a_hint_chooses(served: Agent) -> None:
    other = "spiffe://cluster.local/other"
    served.give(svids=svids(svid(ROOT.issue(uri=OWN), [ROOT]), svid(ROOT.issue(uri=other), [ROOT], other, "b")))
    async with source(served, hint="b", with_bundles=False) as held:
        await until(lambda: held.svid, what="an identity")
        assert held.svid is not None
        assert held.svid.id == other


async def test_over_a_reload_the_answers_of_the_same_agent_are_good_to_begin_with(served: Agent) -> None:
    served.give(svids=fresh(), bundles=bundles(cluster_local=[ROOT]))
    async with source(served) as first:
        await until(lambda: first.svid and first.bundles, what="an identity")
        settings = WorkloadSettings(served.address)
        after = WorkloadApi(settings, first, health=FileHealth(Metrics()), watch=FileWatch(), clock=time.time)
        assert after.svid is first.svid
        hinted = WorkloadSettings(served.address, "b")
        assert WorkloadApi(hinted, first, health=FileHealth(Metrics()), watch=FileWatch(), clock=time.time).svid is None


async def test_a_fault_of_our_own_is_one_more_failure(served: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> None:
        raise KeyError("mistake")

    served.give(svids=fresh())
    monkeypatch.setattr("gateway.control.feeds.workload_api.choose_svid", mistaken)
    async with source(served, with_bundles=False) as held:
        await until(lambda: held._failures > 1, what="another try")
        assert held._health.troubles["identity", "identity"].endswith("a fault of the gateway's own: KeyError")
        monkeypatch.undo()
        await until(lambda: held.svid, what="an identity")
