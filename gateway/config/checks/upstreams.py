"""Backends: addresses that may be connected to, and something to verify each with."""

from urllib.parse import urlsplit

from gateway.config.checks.clients import judge_client
from gateway.config.checks.references import known
from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_host, judge_url
from gateway.config.schema import Balance, Config, Route, TokenExchange, Upstream
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
        if upstream.token_exchange is not None:
            _exchange(config, report, (*path, "token_exchange"), upstream.token_exchange)
    for index, route in enumerate(config.routes):
        _forwarded(config, report, ("routes", index), route)


def _exchange(config: Config, report: Report, path: Path, asked: TokenExchange) -> None:
    judge_client(report, path, asked)
    if asked.issuer is not None:
        known(report, (*path, "issuer"), asked.issuer, "issuers", config.issuers)
    elif len(config.issuers) != 1 and not report.lost_in("issuers") and not report.lost(asked.where, "issuer"):
        report.error(path, "nothing says whose tokens are exchanged", "add issuer: a name of issuers")
    meant = asked.audiences or asked.resources or asked.scopes
    if not meant and not report.lost(asked.where, "audiences", "resources", "scopes"):
        report.error(path, "nothing says what the new token is for", "add audiences, resources or scopes")
    report.each((*path, "resources"), asked.resources, _judge_resource)
    report.each((*path, "scopes"), asked.scopes, _judge_scope)


def _judge_resource(text: str) -> None:
    """RFC 8693 section 2.1: an absolute URI without a fragment."""
    if not urlsplit(text).scheme or not text.isascii() or not text.isprintable():
        raise ValueError(f"{text!r} is no absolute URI")
    if "#" in text or " " in text:
        raise ValueError(f"{text!r}: a resource has no fragment and no space")


def _judge_scope(text: str) -> None:
    """RFC 6749 section 3.3."""
    if not text.isascii() or not text.isprintable() or set(text) & set(' "\\'):
        raise ValueError(f"{text!r} is no scope: write each as an entry of its own")


def _forwarded(config: Config, report: Report, path: Path, route: Route) -> None:
    """Where a token is exchanged, nothing else stands in Authorization."""
    names = [part.upstream for part in route.upstream or ()]
    names += [route.mirror.upstream] if route.mirror is not None else []
    held = [config.upstreams[name] for name in names if name in config.upstreams]
    exchanging = next((upstream.name for upstream in held if upstream.token_exchange is not None), None)
    if exchanging is None:
        return
    hint = f"the upstream {exchanging} has token_exchange"
    if route.forward.authorization == "keep":
        report.error((*path, "forward", "authorization"), "the caller's token is exchanged, never kept", hint)
    for key, fields in (("forward", route.forward.headers), ("request_headers", route.request_headers.set)):
        for name in fields:
            if name.lower() == "authorization":
                where = (*path, key, "headers" if key == "forward" else "set", name)
                report.error(where, "the new token stands in Authorization: nothing else can be set there", hint)


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
