"""Bundles that lie in no file, in the trust feed: unknown, given, taken back, and judged with lists that do."""

import time
from pathlib import Path

import pytest

from gateway.control.feeds.bundle_endpoint import EndpointSettings
from gateway.control.feeds.trust import AuthorityFiles, TrustFeed, TrustSettings
from gateway.control.feeds.watch import FileWatch
from gateway.control.feeds.workload_api import WorkloadApi, WorkloadSettings
from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics
from gateway.model.reason import Reason
from gateway.stages.authenticate.authenticators.certificate import CertificateAuthenticator
from gateway.testing.ca import Authority, Issued
from gateway.testing.wait import until
from tests.bundles import bundle
from tests.control.feeds.provider import provider
from tests.stages.authenticate.asking import reason, request, stage

ROOT, OTHER = Authority("cluster.local"), Authority("cluster.local")
WEB, GUEST = (root.issue(uri="spiffe://cluster.local/web") for root in (ROOT, OTHER))
AGENT = WorkloadSettings("unix:///nowhere", bundles=True)


async def verdict(feed: TrustFeed, issued: Issued = WEB) -> Reason | None:
    judged = stage(judge=CertificateAuthenticator(feed))
    return await reason(judged, request(chain=issued.ders, now=time.time()))


def agent() -> WorkloadApi:
    return WorkloadApi(AGENT, health=FileHealth(Metrics()), watch=FileWatch(), clock=time.time)


def say(source: WorkloadApi, **roots: tuple[Authority, ...]) -> None:
    """What the agent's stream would bring."""
    source.bundles = {name.replace("_", "."): tuple(root.certificate for root in some) for name, some in roots.items()}
    for listener in source._listeners:
        listener()


async def test_a_bundle_that_was_not_had_yet_is_a_dependency_that_fails() -> None:
    source = agent()
    feed = TrustFeed(TrustSettings((AuthorityFiles("cluster.local", AGENT, None),), ()), workload=source)
    feed.start()
    try:
        assert await verdict(feed) is Reason.KEYS_UNAVAILABLE
        say(source, cluster_local=(ROOT,))
        assert (await verdict(feed), await verdict(feed, GUEST)) == (None, Reason.CERTIFICATE_UNTRUSTED)
        say(source, cluster_local=(OTHER,))
        assert (await verdict(feed), await verdict(feed, GUEST)) == (Reason.CERTIFICATE_UNTRUSTED, None)
        at_work = feed.current
        say(source, cluster_local=(OTHER,))
        assert feed.current is at_work
        say(source, other_example=(ROOT,))  # left out: it is believed no longer
        assert await verdict(feed, GUEST) is Reason.CERTIFICATE_UNTRUSTED
    finally:
        await feed.close()
    assert source._listeners == []


async def test_M17_lists_in_a_file_go_with_a_bundle_that_lies_in_none(tmp_path: Path) -> None:
    lists = tmp_path / "cluster.crl"
    lists.write_bytes(ROOT.crl())
    source = agent()
    feed = TrustFeed(
        TrustSettings((AuthorityFiles("cluster.local", AGENT, lists),), ()), workload=source, watch=FileWatch(0.05)
    )
    feed.start()
    try:
        say(source, cluster_local=(ROOT,))
        assert await verdict(feed) is None
        lists.write_bytes(ROOT.crl([WEB], number=2))
        await until(lambda: feed.generation == 3, what="the new list")
        assert await verdict(feed) is Reason.CERTIFICATE_REVOKED
    finally:
        await feed.close()


async def test_a_list_that_another_root_forged_refuses_the_new_bundle_and_keeps_the_old(tmp_path: Path) -> None:
    lists = tmp_path / "cluster.crl"
    lists.write_bytes(OTHER.crl() + ROOT.crl(signed_by=OTHER.key))
    source, health = agent(), FileHealth(Metrics())
    feed = TrustFeed(
        TrustSettings((AuthorityFiles("cluster.local", AGENT, lists),), ()), workload=source, health=health
    )
    feed.start()
    try:
        say(source, cluster_local=(OTHER,))
        assert await verdict(feed, GUEST) is None
        say(source, cluster_local=(ROOT,))
        assert "not signed by the authority" in health.troubles["bundle", "cluster.local"]
        assert (await verdict(feed), await verdict(feed, GUEST)) == (Reason.CERTIFICATE_UNTRUSTED, None)
    finally:
        await feed.close()


async def test_a_feed_that_follows_begins_with_what_was_fetched(tmp_path: Path) -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT))
        fetched = EndpointSettings(f"{endpoint.url}/bundle", None, None, None, None)
        first = TrustFeed(TrustSettings((AuthorityFiles("cluster.local", fetched, None),), ()))
        first.start()
        try:
            await first.tried()
            assert await verdict(first) is None
            lists = tmp_path / "cluster.crl"
            lists.write_bytes(ROOT.crl([WEB]))
            settings = TrustSettings((AuthorityFiles("cluster.local", fetched, lists),), ())
            assert await verdict(TrustFeed(settings, before=first)) is Reason.CERTIFICATE_REVOKED
            assert await verdict(TrustFeed(settings)) is Reason.KEYS_UNAVAILABLE
        finally:
            await first.close()


@pytest.mark.parametrize("count", [1, 2])
async def test_K3_an_empty_bundle_revokes_everything(count: int) -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT))
        fetched = EndpointSettings(f"{endpoint.url}/bundle", None, None, None, None)
        feed = TrustFeed(TrustSettings((AuthorityFiles("cluster.local", fetched, None),), ()))
        feed.start()
        try:
            await feed.tried()
            (one,) = feed._endpoints
            for sequence in range(count):
                endpoint.page("/bundle", bundle(sequence=2 + sequence))
                await until(lambda: one._flight is None, what="the fetch under way")
                one._take_off()
                await one._landing()
            assert await verdict(feed) is Reason.CERTIFICATE_UNTRUSTED
        finally:
            await feed.close()
