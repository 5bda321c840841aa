"""Upstreams over a reload: what is equal lives on, what changed is replaced, certificates rotate."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.upstreams import build_upstreams, own_spiffe_id
from gateway.kernel.cells import Metrics
from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from gateway.testing.upstream import Upstream
from gateway.testing.wait import until
from gateway.upstreams.settings import (
    BreakerSettings,
    HealthSettings,
    OutlierSettings,
    RetrySettings,
    SlowStartSettings,
)
from tests.backends import BACKEND_ID, GATEWAY_ID, forward, send


class Site:
    """A folder with a config that may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority("cluster.local")
        self.edge = self.authority.issue(dns=["localhost"]).write(folder, "edge")
        self.authority.write(folder, "bundle")
        self.renew()

    def renew(self) -> None:
        self.authority.issue(uri=GATEWAY_ID).write(self.folder, "gateway")

    def config(self, url: str, more: str = "", name: str = "inventory") -> Config:
        path = self.folder / "routes.yaml"
        path.write_text(
            "version: 1\n"
            f'listeners: {{edge: {{address: "127.0.0.1:0", tls: {{certificate: {self.edge.certificate},'
            f" key: {self.edge.key}}}}}}}\n"
            "audit: {directory: audit}\n"
            "identity: {certificate: gateway.pem, key: gateway.key}\n"
            "trust_domains: {cluster.local: {bundle: bundle.pem}}\n"
            f"upstreams: {{{name}: {{endpoints: ['{url}'], tls: {{server_identity: '{BACKEND_ID}'}}{more}}}}}\n"
            f"routes: [{{name: a, match: {{paths: ['/*']}}, upstream: {name}, public: true}}]\n"
        )
        return load(path)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def backend(site: Site) -> Upstream:
    return Upstream(tls=server_context(site.authority.issue(uri=BACKEND_ID), [site.authority]))


async def test_an_equal_upstream_lives_on_and_its_connections_with_it(site: Site) -> None:
    metrics = Metrics()
    async with backend(site) as there:
        first = build_upstreams(site.config(there.url), None, metrics)
        first.swap_in(metrics)
        await send(forward(first.clusters["inventory"]))
        second = build_upstreams(site.config(there.url), first, metrics)
        second.swap_in(metrics)
        first.close(keep=second)
        await send(forward(second.clusters["inventory"]))
        assert second.clusters["inventory"] is first.clusters["inventory"]
        assert there.connections == 1
        assert metrics.upstream_requests.labels("inventory", there.url, "ok").value == 2
        assert metrics.upstream_connections.labels("inventory", "idle").value == 1
        second.abort()


async def test_a_changed_upstream_is_another_and_the_old_one_drains(site: Site) -> None:
    metrics = Metrics()
    async with backend(site) as there:
        first = build_upstreams(site.config(there.url), None, metrics)
        await send(forward(first.clusters["inventory"]))
        second = build_upstreams(site.config(there.url, ", timeouts: {response: 3s}"), first, metrics)
        assert first.clusters["inventory"].connections("idle") == 1  # building has touched nothing
        second.swap_in(metrics)
        first.close(keep=second)
        await until(lambda: 0 in there.closed)
        assert second.clusters["inventory"].response_timeout == 3.0
        second.abort()


async def test_new_certificates_rotate_it_when_they_are_swapped_in(site: Site) -> None:
    metrics = Metrics()
    async with backend(site) as there:
        first = build_upstreams(site.config(there.url), None, metrics)
        cluster = first.clusters["inventory"]
        await send(forward(cluster))
        before = cluster.tls
        site.renew()
        second = build_upstreams(site.config(there.url), first, metrics)
        assert (second.clusters["inventory"], cluster.tls) == (cluster, before)
        second.swap_in(metrics)
        await until(lambda: 0 in there.closed)
        assert cluster.tls is not before
        await send(forward(cluster))
        assert there.connections == 2
        second.abort()


def test_what_the_gateway_calls_itself(site: Site) -> None:
    assert own_spiffe_id(site.config("https://127.0.0.1:1")) == GATEWAY_ID


def test_an_upstream_that_is_gone_is_retired(site: Site) -> None:
    metrics = Metrics()
    first = build_upstreams(site.config("https://127.0.0.1:1"), None, metrics)
    second = build_upstreams(site.config("https://127.0.0.1:1", name="other"), first, metrics)
    first.swap_in(metrics)
    second.swap_in(metrics)
    first.close(keep=second)
    assert {upstream for (upstream, _), _ in metrics.upstream_connections.rows()} == {"other"}


RESILIENCE = (
    ", balance: {policy: consistent_hash, key: 'header:x-tenant'}"
    ", retries: {attempts: 2, on: [connect_failure, reset, '502', '503'], budget: 30%, per_try: 2s,"
    " hedge_after: 150ms}"
    ", health_check: {path: /healthz, interval: 20ms, timeout: 500ms, healthy: 1, unhealthy: 2}"
    ", outlier_detection: {consecutive_errors: 2, ejection: 5s, max_ejected: 100%}"
    ", circuit_breaker: {max_pending: 7, max_requests: 8}, dns: {refresh: 9s}"
)


def test_every_setting_arrives(site: Site) -> None:
    settings = build_upstreams(site.config("https://127.0.0.1:1", RESILIENCE), None, Metrics()).clusters
    made = settings["inventory"].settings
    assert (made.balance, made.hash_key, made.dns_refresh) == ("consistent_hash", "header:x-tenant", 9.0)
    assert made.retries == RetrySettings(2, True, False, True, frozenset({502, 503}), 30, 2.0, 0.15)
    assert made.health == HealthSettings("/healthz", 0.02, 0.5, 1, 2)
    assert made.outlier == OutlierSettings(2, 5.0, 100)
    assert made.breaker == BreakerSettings(7, 8)


def test_slow_start_arrives_and_only_what_a_new_file_adds_begins_anew(site: Site) -> None:
    slow = ", balance: {policy: least_request, slow_start: {window: 30s, aggression: 1.5, min_weight_percent: 5%}}"
    first = build_upstreams(site.config("https://127.0.0.1:1", slow), None, Metrics())
    assert first.clusters["inventory"].settings.slow_start == SlowStartSettings(30.0, 1.5, 0.05)
    second = build_upstreams(site.config("https://127.0.0.1:1', 'https://127.0.0.1:2", slow), first, Metrics())
    told = repr(second.clusters["inventory"].status())
    assert (told.count("'share': 1.0"), told.count("'share': 0.05")) == (1, 1)


def test_without_settings_there_is_nothing_to_do(site: Site) -> None:
    cluster = build_upstreams(site.config("https://127.0.0.1:1"), None, Metrics()).clusters["inventory"]
    assert not cluster.guarded
    assert (cluster.settings.health, cluster.settings.dns_refresh) == (None, None)


async def test_health_lives_over_a_reload_and_shows_in_the_metrics(site: Site) -> None:
    metrics = Metrics()
    async with backend(site) as there:
        first = build_upstreams(site.config(there.url, RESILIENCE), None, metrics)
        first.swap_in(metrics)
        await until(lambda: there.calls)
        assert metrics.upstream_healthy.rows() == [(("inventory", there.url), 1.0)]
        assert metrics.upstream_ejected.rows() == [(("inventory", there.url), 0.0)]
        second = build_upstreams(site.config(there.url, RESILIENCE), first, metrics)
        second.swap_in(metrics)
        first.close(keep=second)
        await there.stop()
        await until(lambda: metrics.upstream_healthy.rows() == [(("inventory", there.url), 0.0)])
        assert second.clusters["inventory"] is first.clusters["inventory"]
        third = build_upstreams(site.config(there.url), second, metrics)
        third.swap_in(metrics)
        second.close(keep=third)
        assert (metrics.upstream_healthy.rows(), metrics.upstream_ejected.rows()) == ([], [])
        third.abort()
