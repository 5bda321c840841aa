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
