"""Certificates that change while the gateway serves: taken up whole, or not at all and said so (security.md M18)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.control.build.listeners import build_contexts, listener_limits
from gateway.control.feeds.feed import REST
from gateway.control.reload import Reloader
from gateway.control.rotation import files_of
from gateway.control.runtime import Runtime
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.server.listener import Listener
from gateway.server.tls import Contexts
from gateway.testing.ca import Authority, Issued
from gateway.testing.keys import write_private
from gateway.testing.wait import until
from tests.facts import connection, head, trace
from tests.serving import Gateway

ROOT = Authority("cluster.local")
OWN = "spiffe://cluster.local/ns/gateway/sa/gateway"
FILE = """\
version: 1
listeners:
  edge:
    address: "127.0.0.1:8443"
    tls: {certificates: [{certificate: edge.pem, key: edge.key}, {certificate: other.pem, key: other.key}]}
  plain: {address: "127.0.0.1:8080"}
identity: {certificate: own.pem, key: own.key}
trust_domains: {cluster.local: {bundle: ca.pem, crl: ca.crl}}
upstreams:
  stock:
    endpoints: ["https://127.0.0.1:9443"]
    tls: {server_identity: "spiffe://cluster.local/stock"}
routes:
  - {name: all, match: {paths: ["/*"]}, public: true, upstream: stock}
"""


@dataclass
class Site:
    folder: Path
    runtime: Runtime
    listeners: dict[str, Listener]

    @property
    def contexts(self) -> Contexts:
        held = self.listeners["edge"].contexts
        assert held is not None
        return held

    @property
    def fingerprint(self) -> str:
        tls = self.runtime.parts.upstreams.clusters["stock"].tls
        assert tls is not None
        return tls.fingerprint

    def troubles(self) -> set[tuple[str, str]]:
        return set(self.runtime.health.troubles)

    def reloads(self, role: str, name: str, result: str) -> float:
        return self.runtime.metrics.certificate_reloads.labels(role, name, result).value

    def ends(self, role: str, name: str) -> float:
        return self.runtime.metrics.certificate_expiry.labels(role, name).value


@contextlib.asynccontextmanager
async def at_work(folder: Path) -> AsyncGenerator[tuple[Site, Reloader]]:
    file = folder / "routes.yaml"
    file.write_text(FILE)
    ROOT.issue(dns=["a.example"]).write(folder, "edge")
    ROOT.issue(dns=["b.example"]).write(folder, "other")
    ROOT.issue(uri=OWN).write(folder, "own")
    ROOT.write(folder, "ca")
    (folder / "ca.crl").write_bytes(ROOT.crl())
    runtime, config = Runtime(), load(file)
    await runtime.adopt(runtime.prepare(config))
    contexts = build_contexts(config, runtime.parts.sources.trust.current)
    listeners = {
        name: Listener(name, listener_limits(listener, 1), Gateway(), contexts=contexts[name])
        for name, listener in config.listeners.items()
    }
    reloader = Reloader(lambda: load(file), runtime, listeners)
    reloader.started()
    watch = asyncio.create_task(reloader.watch())
    try:
        yield Site(folder, runtime, listeners), reloader
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await runtime.close()


def expired(**names: object) -> Issued:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return ROOT.issue(not_before=yesterday - timedelta(days=1), not_after=yesterday, **names)  # type: ignore[arg-type]


SPOIL: list[object] = [
    pytest.param(lambda path: path.write_bytes(path.read_bytes()[:200]), id="M18-half-written"),
    pytest.param(lambda path: path.write_bytes(b""), id="M18-empty"),
    pytest.param(lambda path: path.unlink(), id="M18-gone"),
    pytest.param(lambda path: path.write_bytes(ROOT.issue(dns=["a.example"], uri=OWN).pem()), id="M18-another-key"),
    pytest.param(lambda path: expired(dns=["a.example"], uri=OWN).write(path.parent, path.stem), id="M18-expired"),
]
Spoil = Callable[[Path], object]


@pytest.mark.parametrize("spoil", SPOIL)
async def test_a_listeners_bad_certificate_keeps_the_last_good_one_and_says_so(
    tmp_path: Path, spoil: Spoil, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_work(tmp_path) as (site, reload):
        before, ends = site.contexts, site.ends("listener", "edge")
        spoil(tmp_path / "edge.pem")
        await until(lambda: site.reloads("listener", "edge", "failure"))
        assert site.contexts is before
        assert site.troubles() == {("listener", "edge")}
        assert site.ends("listener", "edge") == ends
        assert "listener edge" in caplog.text
        assert "the last good one stays in force" in caplog.text
        assert not (await reload()).ok
        assert site.contexts is before
        ROOT.issue(dns=["a.example"]).write(tmp_path, "edge")
        await until(lambda: not site.troubles())
        assert site.contexts is not before


@pytest.mark.parametrize(("role", "name", "stem"), [("listener", "edge", "edge"), ("identity", "identity", "own")])
async def test_a_pair_that_is_written_one_after_the_other_is_read_as_a_pair(
    tmp_path: Path, role: str, name: str, stem: str
) -> None:
    async with at_work(tmp_path) as (site, _):
        before = site.reloads(role, name, "success")
        fresh = ROOT.issue(dns=["a.example"], uri=OWN)
        (tmp_path / f"{stem}.pem").write_bytes(fresh.pem())
        asyncio.get_running_loop().call_later(REST / 2, write_private, tmp_path / f"{stem}.key", fresh.key_pem())
        site.runtime.watch.ring()  # who is told of the first write looks before the second
        await until(lambda: site.reloads(role, name, "success") > before)
        assert site.reloads(role, name, "failure") == 0
        assert not site.troubles()


@pytest.mark.parametrize("spoil", SPOIL)
async def test_a_bad_identity_keeps_the_last_good_one_and_holds_nothing_else_up(tmp_path: Path, spoil: Spoil) -> None:
    async with at_work(tmp_path) as (site, reload):
        before, contexts = site.fingerprint, site.contexts
        spoil(tmp_path / "own.pem")
        await until(lambda: ("identity", "identity") in site.troubles())
        ROOT.issue(dns=["a.example"]).write(tmp_path, "edge")
        await until(lambda: site.contexts is not contexts)
        assert site.fingerprint == before
        assert not (await reload()).ok
        assert site.fingerprint == before
        fresh = ROOT.issue(uri=OWN)
        fresh.write(tmp_path, "own")
        await until(lambda: site.fingerprint != before)
        await until(lambda: not site.troubles())
        assert site.ends("identity", "identity") == fresh.cert.not_valid_after_utc.timestamp()


async def test_an_upstreams_bundle_is_believed_as_soon_as_it_changes(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (site, _):
        before = site.fingerprint
        (tmp_path / "ca.pem").write_bytes(b"half")
        await until(lambda: site.troubles() >= {("upstream", "stock"), ("bundle", "cluster.local")})
        assert site.fingerprint == before
        (tmp_path / "ca.pem").write_bytes(ROOT.pem() + Authority("cluster.local").pem())
        await until(lambda: site.fingerprint != before)
        await until(lambda: not site.troubles())


async def test_a_certificate_under_new_names_covers_other_hosts_at_once(tmp_path: Path) -> None:
    """421 is judged by the certificates that are served, not by those that were there at the start."""

    def covered(host: str) -> bool:
        accept = site.runtime.parts.snapshot.accept
        over = connection(sni="b.example", served=site.contexts.entry("b.example"))
        reason = None
        try:
            accept(trace(head(host=host), over))
        except Refused as refused:
            reason = refused.reason
        assert reason in (None, Reason.MISDIRECTED)
        return reason is None

    async with at_work(tmp_path) as (site, _):
        assert covered("b.example")
        assert not covered("a.example")
        contexts = site.contexts
        ROOT.issue(dns=["b.example", "c.example"]).write(tmp_path, "other")
        await until(lambda: site.contexts is not contexts)
        assert site.contexts.entry("c.example") == 1
        assert covered("c.example")
        assert not covered("a.example")


async def test_lists_that_are_out_of_date_do_not_replace_those_that_are_not(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (site, _):
        trust = site.runtime.parts.sources.trust
        before = trust.current
        past = datetime.now(UTC) - timedelta(hours=2)
        (tmp_path / "ca.crl").write_bytes(ROOT.crl(last_update=past - timedelta(days=1), next_update=past))
        await until(lambda: ("bundle", "cluster.local") in site.troubles())
        assert trust.current is before
        (tmp_path / "ca.crl").write_bytes(ROOT.crl(number=2))
        await until(lambda: trust.current is not before)
        await until(lambda: not site.troubles())


async def test_every_end_is_told(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (site, _):
        rows = dict(site.runtime.metrics.certificate_expiry.rows())
        assert set(rows) == {
            ("listener", "edge"),
            ("identity", "identity"),
            ("bundle", "cluster.local"),
            ("crl", "cluster.local"),
        }
        assert all(isinstance(ends, float) and ends > time.time() for ends in rows.values())


async def test_a_configmaps_swap_is_taken_up(tmp_path: Path) -> None:
    """Kubernetes: every file is a link into ..data, which is a link that is replaced."""
    async with at_work(tmp_path) as (site, _):
        first, second = tmp_path / "..1", tmp_path / "..2"
        first.mkdir()
        second.mkdir()
        for name in ("edge.pem", "edge.key"):
            (tmp_path / name).rename(first / name)
        (tmp_path / "..data").symlink_to("..1")
        for name in ("edge.pem", "edge.key"):
            (tmp_path / name).symlink_to(f"..data/{name}")
        ROOT.issue(dns=["new.example"]).write(second, "edge")
        (tmp_path / "..next").symlink_to("..2")
        (tmp_path / "..next").replace(tmp_path / "..data")
        await until(lambda: site.contexts.settings.certificates[0].names == ("new.example",))
        assert not site.troubles()


async def test_what_is_swapped_alone_is_watched_alone(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (site, _):
        files = files_of(site.runtime.parts.config)
        assert {key: [path.name for path in paths] for key, paths in files.items()} == {
            ("listener", "edge"): ["edge.pem", "edge.key", "other.pem", "other.key"],
            ("identity", "identity"): ["own.pem", "own.key"],
            ("upstream", "stock"): ["ca.pem", "ca.crl"],
        }
