"""Backends: addresses that may be connected to, and something to verify each with."""

from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_host, judge_url
from gateway.config.schema import Balance, Config, Upstream
from gateway.config.tree import Path


def check(config: Config, report: Report) -> None:
    """Every upstream."""
    for name, upstream in config.upstreams.items():
        path: Path = ("upstreams", name)
        _endpoints(report, path, upstream)
        _verified(config, report, path, upstream)
        _balance(report, (*path, "balance"), upstream.balance)
        if upstream.health_check is not None:
            report.one((*path, "health_check", "path"), upstream.health_check.path, _judge_target)


def _balance(report: Report, path: Path, balance: Balance) -> None:
    slow = balance.slow_start
    if slow is not None and balance.policy not in ("round_robin", "least_request"):
        report.error_at_key(
            (*path, "slow_start"), f"{balance.policy} knows no slow start", "round_robin, least_request"
        )
    if slow is not None and slow.min_weight_percent.value < 1:
        where = (*path, "slow_start", "min_weight_percent")
        report.error(where, "with nothing an endpoint would never be asked", "1% or more")
    if balance.policy != "consistent_hash":
        if balance.key is not None:
            report.error_at_key((*path, "key"), f"{balance.policy} goes by no key", "write policy: consistent_hash")
        return
    if balance.key is None:
        if not report.lost(balance.where, "key"):
            report.error(path, "consistent_hash goes by a key", "add key: header:NAME, claim:NAME or client_ip")
        return
    from gateway.upstreams.hash_key import hash_key

    report.one((*path, "key"), balance.key, hash_key)


def _judge_target(text: str) -> None:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        raise ValueError(f"{text!r} is no path: write one that begins with /, percent-encoded where it is not plain")


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
