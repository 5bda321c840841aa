"""Bundle endpoints: who they prove to be, at what pace they are asked, and what an answer changes."""

import contextlib
import logging
import ssl
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from gateway.control.feeds.bundle_endpoint import BundleEndpoint, EndpointSettings
from gateway.control.feeds.watch import FileWatch
from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics
from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from gateway.testing.wait import until
from tests.bundles import bundle
from tests.control.feeds.provider import Provider, provider

ROOT, NEXT = Authority("partner.example"), Authority("partner.example")
SPIRE = "spiffe://partner.example/spire/server"


class Feed:
    """A feed with what it told."""

    def __init__(self, settings: EndpointSettings, before: BundleEndpoint | None = None) -> None:
        self.told: list[tuple[x509.Certificate, ...]] = []
        self.health = FileHealth(Metrics())
        self.feed = BundleEndpoint(
            "partner.example",
            settings,
            self.told.append,
            before=before,
            health=self.health,
            clock=time.time,
            watch=FileWatch(0.05),
        )

    @property
    def roots(self) -> tuple[x509.Certificate, ...] | None:
        return self.feed.current.anchors if self.feed.current is not None else None


def settings(held: Provider, **more: Any) -> EndpointSettings:
    values: dict[str, Any] = {"ca": None, "spiffe_id": None, "bootstrap": None, "state": None}
    return EndpointSettings(f"{held.url}/bundle", **(values | more))


@contextlib.asynccontextmanager
async def feeding(asked: EndpointSettings, before: BundleEndpoint | None = None) -> AsyncGenerator[Feed]:
    made = Feed(asked, before)
    made.feed.start()
    try:
        yield made
    finally:
        await made.feed.close()


async def again(held: Feed, endpoint: Provider) -> None:
    """One more fetch, done."""
    before = endpoint.asked["/bundle"]
    await until(lambda: held.feed._flight is None, what="the fetch under way")
    held.feed._take_off()
    await held.feed._landing()
    assert endpoint.asked["/bundle"] > before


async def test_a_bundle_is_fetched_and_a_new_one_taken_up() -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT))
        async with feeding(settings(endpoint)) as held:
            await held.feed.tried()
            assert held.roots == (ROOT.certificate,)
            endpoint.page("/bundle", bundle(ROOT, NEXT, sequence=2))
            await again(held, endpoint)
            await again(held, endpoint)
            assert held.told == [(ROOT.certificate,), (ROOT.certificate, NEXT.certificate)]


@pytest.mark.parametrize(
    ("hint", "pace"), [(None, 300.0), (0, 1.0), (1, 1.0), (60, 60.0), (3600, 3600.0), (999999, 3600.0)]
)
async def test_the_refresh_hint_sets_the_pace_within_bounds(hint: int | None, pace: float) -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT, hint=hint))
        async with feeding(settings(endpoint)) as held:
            await held.feed.tried()
            assert held.feed._pace == pace
            assert 0.79 * pace - 1 < held.feed._pause() <= pace


async def test_a_short_hint_is_followed_by_itself() -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT, hint=1))
        async with feeding(settings(endpoint)) as held:
            await held.feed.tried()
            endpoint.page("/bundle", bundle(NEXT, hint=1))
            await until(lambda: held.roots == (NEXT.certificate,), seconds=5, what="the next bundle")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(bundle(NEXT, sequence=4), id="M18-lower-sequence"),
        pytest.param(b"{}", id="M18-no-keys"),
        pytest.param(b"\xff", id="M18-no-json"),
        pytest.param(bundle(NEXT, sequence=9)[:-9], id="M18-cut-off"),
        pytest.param(bundle(NEXT, sequence=9) + b" " * 300_000, id="K3-too-long"),
    ],
)
async def test_what_is_older_or_broken_keeps_the_last_good_one(body: bytes) -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT, sequence=5))
        async with feeding(settings(endpoint)) as held:
            await held.feed.tried()
            endpoint.page("/bundle", body)
            await again(held, endpoint)
            assert (held.roots, held.feed.failing) == ((ROOT.certificate,), True)
            assert held.health.troubles["bundle", "partner.example"]
            endpoint.page("/bundle", bundle(NEXT, sequence=5))
            await again(held, endpoint)
            assert (held.roots, dict(held.health.troubles)) == ((NEXT.certificate,), {})


@pytest.mark.parametrize(
    ("status", "headers"), [(500, {}), (302, {"location": "https://elsewhere.example/"}), (404, {})]
)
async def test_K2_an_endpoint_that_fails_or_points_elsewhere_keeps_it_too(status: int, headers: dict[str, str]) -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT))
        async with feeding(settings(endpoint)) as held:
            await held.feed.tried()
            endpoint.page("/bundle", bundle(NEXT), status, **headers)
            await again(held, endpoint)
            assert held.roots == (ROOT.certificate,)


async def test_K3_an_empty_bundle_takes_everything_back(caplog: pytest.LogCaptureFixture) -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT))
        async with feeding(settings(endpoint)) as held:
            await held.feed.tried()
            endpoint.page("/bundle", bundle(sequence=2))
            with caplog.at_level(logging.WARNING):
                await again(held, endpoint)
            assert held.told[-1] == ()
            assert "every certificate of the trust domain is revoked" in caplog.text


async def test_over_a_restart_and_between_workers_the_last_good_one_is_shared(tmp_path: Path) -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT, sequence=5))
        async with (
            feeding(settings(endpoint, state=tmp_path)) as one,
            feeding(settings(endpoint, state=tmp_path)) as two,
        ):
            await until(lambda: one.roots and two.roots, what="both")
            assert endpoint.asked["/bundle"] == 1
        endpoint.pages.clear()
        async with feeding(settings(endpoint, state=tmp_path)) as after:
            assert after.roots == (ROOT.certificate,)
            endpoint.page("/bundle", bundle(NEXT, sequence=4))  # nor does a restart let an older one in
            await until(lambda: after.feed._flight is None, what="the first fetch")
            after.feed._fetched -= 60
            after.feed._take_off()
            await after.feed._landing()
            assert after.roots == (ROOT.certificate,)


async def test_over_a_reload_the_bundle_is_good_to_begin_with() -> None:
    async with provider() as endpoint:
        endpoint.page("/bundle", bundle(ROOT))
        async with feeding(settings(endpoint)) as first:
            await first.feed.tried()
            assert Feed(settings(endpoint), first.feed).roots == (ROOT.certificate,)
            assert Feed(settings(endpoint, state=Path("elsewhere")), first.feed).roots is None


def tls(uri: str | None = SPIRE, root: Authority = ROOT, **more: Any) -> ssl.SSLContext:
    return server_context(root.issue(uri=uri, **more))


async def spiffe_roots(folder: Path, context: ssl.SSLContext, *boot: Authority) -> tuple[Any, str]:
    """What one fetch with `https_spiffe` gives, and the trouble."""
    (folder / "boot.pem").write_bytes(b"".join(root.pem() for root in boot))
    async with provider(tls=context) as endpoint:
        endpoint.page("/bundle", bundle(NEXT))
        async with feeding(settings(endpoint, spiffe_id=SPIRE, bootstrap=folder / "boot.pem")) as held:
            await held.feed.tried()
            return held.roots, held.health.troubles.get(("bundle", "partner.example"), "")


async def test_an_endpoint_proves_itself_by_its_svid(tmp_path: Path) -> None:
    assert await spiffe_roots(tmp_path, tls(), ROOT) == ((NEXT.certificate,), "")


@pytest.mark.parametrize(
    ("uri", "root", "boot", "more"),
    [
        pytest.param("spiffe://partner.example/other", ROOT, ROOT, {}, id="M24-another-id"),
        pytest.param("spiffe://partner.example/spire/server/x", ROOT, ROOT, {}, id="M24-an-id-below"),
        pytest.param(SPIRE, NEXT, ROOT, {}, id="M6-another-root"),
        pytest.param(None, ROOT, ROOT, {"dns": ["localhost"], "ips": ["127.0.0.1"]}, id="M24-a-name-is-no-id"),
    ],
)
async def test_one_that_does_not_is_not_believed(
    tmp_path: Path, uri: str | None, root: Authority, boot: Authority, more: dict[str, Any]
) -> None:
    roots, trouble = await spiffe_roots(tmp_path, tls(uri, root, **more), boot)
    assert roots is None
    assert trouble


async def test_a_self_serving_endpoint_is_held_to_the_bundle_that_it_gave_last(tmp_path: Path) -> None:
    """Its first bundle says NEXT: from then on the bootstrap file counts no more."""
    (tmp_path / "boot.pem").write_bytes(ROOT.pem())
    async with provider(tls=tls()) as endpoint:
        endpoint.page("/bundle", bundle(NEXT, sequence=1))
        async with feeding(settings(endpoint, spiffe_id=SPIRE, bootstrap=tmp_path / "boot.pem")) as held:
            await held.feed.tried()
            assert held.roots == (NEXT.certificate,)
            endpoint.page("/bundle", bundle(ROOT, sequence=2))
            await until(lambda: held.feed._flight is None, what="the first fetch")
            held.feed._take_off()
            await held.feed._landing()
            assert (held.roots, held.feed.failing) == ((NEXT.certificate,), True)


async def test_https_web_verifies_the_name_by_its_authority(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(ROOT.pem())
    for names, good in ((["127.0.0.1"], True), (["127.0.0.2"], False)):
        async with provider(tls=tls(None, ips=names)) as endpoint:
            endpoint.page("/bundle", bundle(NEXT))
            async with feeding(settings(endpoint, ca=tmp_path / "ca.pem")) as held:
                await held.feed.tried()
                assert (held.roots is not None) is good
