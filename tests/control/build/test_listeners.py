"""Listeners of the config into what the server works with."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.listeners import (
    build_contexts,
    certificate_files,
    check_dates,
    listener_limits,
    listener_redirect,
)
from gateway.control.feeds.trust import AuthorityFiles, TrustFeed, TrustSettings
from gateway.server.settings import Limits
from gateway.server.tls import TlsUnusable
from gateway.testing.ca import Authority

ROOT, PARTNER = Authority("cluster.local"), Authority("partner.example")
EDGE = ROOT.issue(dns=["localhost"])
FILE = """\
version: 1
listeners:
  http: {address: "0.0.0.0:8080", redirect: https}
  edge:
    address: "0.0.0.0:8443"
    tls: {certificate: edge.pem, key: edge.key}
    limits:
      {header_bytes: 8KiB, headers: 7, header_timeout: 3s, idle_timeout: 4s, connections: 10, min_data_rate: 1KiB,
       data_rate_window: 5s}
trust_domains:
  cluster.local: {bundle: ca.pem}
routes:
  - {name: all, match: {paths: ["/*"]}, public: true, respond: {status: 200}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "routes.yaml").write_text(FILE)
    EDGE.write(tmp_path, "edge")
    ROOT.write(tmp_path, "ca")
    PARTNER.write(tmp_path, "partner")
    return load(tmp_path / "routes.yaml")


def test_contexts_hold_the_roots_of_everyone_who_may_vouch(config: Config, tmp_path: Path) -> None:
    trust = TrustFeed(
        TrustSettings(
            (AuthorityFiles("cluster.local", tmp_path / "ca.pem", None),),
            (AuthorityFiles("partners", tmp_path / "partner.pem", None, ("*",)),),
        )
    )
    contexts = build_contexts(config, trust.current)
    assert contexts["http"] is None
    edge = contexts["edge"]
    assert edge is not None
    assert set(edge.base.get_ca_certs(binary_form=True)) == {ROOT.der, PARTNER.der}
    assert edge.settings.client_certificate == "optional"  # the default where someone may vouch
    assert edge.settings.certificates[0].names == ("localhost",)


def test_a_certificate_that_cannot_be_read_is_one_line(config: Config, tmp_path: Path) -> None:
    trust = TrustFeed(TrustSettings((), ())).current
    (tmp_path / "edge.pem").write_text("half")
    with pytest.raises(TlsUnusable, match=r"edge.pem: not a PEM certificate"):
        build_contexts(config, trust)
    (tmp_path / "edge.pem").unlink()
    with pytest.raises(TlsUnusable, match=r"edge.pem: No such file"):
        build_contexts(config, trust)


def test_connections_are_shared_out_among_the_workers(config: Config) -> None:
    edge = config.listeners["edge"]
    assert listener_limits(edge, 1) == Limits(8192, 7, 3.0, 4.0, 10, 1024, 5.0)
    assert [listener_limits(edge, workers).connections for workers in (2, 3, 10, 11)] == [5, 4, 1, 1]


def test_a_redirect_points_to_the_port_that_was_opened(config: Config) -> None:
    redirect = listener_redirect(config, config.listeners["http"], {"http": 1, "edge": 18443})
    assert redirect is not None
    assert redirect.port == 18443
    assert listener_redirect(config, config.listeners["edge"], {}) is None


def test_files_to_watch_and_the_dates_of_certificates(config: Config, tmp_path: Path) -> None:
    assert certificate_files(config.listeners["edge"]) == [tmp_path / "edge.pem", tmp_path / "edge.key"]
    assert certificate_files(config.listeners["http"]) == []
    contexts = build_contexts(config, TrustFeed(TrustSettings((), ())).current)["edge"]
    assert contexts is not None
    (files,) = contexts.settings.certificates
    assert files.not_before == EDGE.cert.not_valid_before_utc.timestamp()
    assert files.not_after == EDGE.cert.not_valid_after_utc.timestamp()
    check_dates(contexts, contexts, files.not_after)
    check_dates(contexts, None, files.not_after + 1)  # a start with what there is
    check_dates(contexts, contexts, files.not_after + 1)  # no worse than what is at work
