"""Backends: addresses that may be connected to, and something to verify each with."""

from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_host, judge_url
from gateway.config.schema import Config, Upstream
from gateway.config.tree import Path


def check(config: Config, report: Report) -> None:
    """Every upstream."""
    for name, upstream in config.upstreams.items():
        path: Path = ("upstreams", name)
        _endpoints(report, path, upstream)
        _verified(config, report, path, upstream)


def _endpoints(report: Report, path: Path, upstream: Upstream) -> None:
    seen: dict[str, int] = {}
    for index, endpoint in enumerate(upstream.endpoints):
        where = (*path, "endpoints", index, "url")
        if not report.one(where, endpoint.url, lambda text: judge_url(text, path=False)):
            continue
        if endpoint.url in seen:
            report.error(where, f"{endpoint.url} stands twice", "weight: 2 sends it twice as much")
        seen[endpoint.url] = index
        if not endpoint.tls and upstream.tls.server_identity is not None:
            report.error(
                where, f"{endpoint.url} proves no identity: tls.server_identity cannot be verified", "write https://"
            )


def _verified(config: Config, report: Report, path: Path, upstream: Upstream) -> None:
    name = upstream.tls.server_name
    if name is not None:
        report.one((*path, "tls", "server_name"), name, judge_host)
    identity = upstream.tls.server_identity
    if identity is None:
        return
    where = (*path, "tls", "server_identity")
    if not identity.startswith("spiffe:"):
        report.one(where, identity, judge_host)
        return
    from gateway.kernel.x509.spiffe import parse_leaf_id, parse_trust_domain

    if not report.one(where, identity, parse_leaf_id):
        return
    domain = parse_trust_domain(identity)
    known = domain in config.trust_domains or report.lost_in("trust_domains", domain)
    if not known and upstream.tls.ca is None and not report.lost(upstream.tls.where, "ca"):
        report.error(where, f"{domain!r} is none of trust_domains, so nothing can verify it", "add it, or tls.ca")
