"""Which keys of routes.yaml the export carries, node by node: every other one that a file sets is said.

A key that comes to be built is said from that day on, until it is carried and stands here.
The reasons are for people; a key without one has no equal in Envoy's configuration.
"""

from collections.abc import Mapping

from gateway.config.schema import Config, Node
from gateway.convert.report import Report
from gateway.model.place import Place

_CARRIED: dict[str, frozenset[str]] = {
    node: frozenset(keys.split())
    for node, keys in {
        "Config": "version listeners identity trust_domains client_authorities issuers rate_limits upstreams "
        "policies routes",
        "Listener": "address tls redirect protocols paths trusted_proxies limits rate_limits",
        "ListenerTls": "certificate key certificates client_certificate min_version resumption",
        "CertificateFiles": "certificate key",
        "PathRules": "double_slash encoded_slash",
        "ListenerLimits": "header_bytes headers header_timeout idle_timeout connections",
        "Identity": "certificate key",
        "TrustDomain": "bundle crl",
        "Bundle": "file",
        "ClientAuthority": "bundle crl names",
        "RevocationLists": "file",
        "Issuer": "issuer audiences jwks_uri jwks ca clock_skew space_delimited_claims",
        "Jwks": "file refresh",
        "RateLimit": "rate algorithm burst key mode",
        "LimitUse": "limit",
        "Upstream": "endpoints tls balance connections timeouts retries health_check outlier_detection "
        "circuit_breaker dns",
        "Balance": "policy key slow_start",
        "SlowStart": "window aggression min_weight_percent",
        "Retries": "attempts on budget per_try",
        "HealthCheck": "path interval timeout healthy unhealthy",
        "OutlierDetection": "consecutive_errors ejection max_ejected",
        "CircuitBreaker": "max_pending max_requests",
        "Dns": "refresh",
        "WeightedUpstream": "upstream weight",
        "Mirror": "upstream percent",
        "Endpoint": "url weight",
        "UpstreamTls": "server_identity server_name ca",
        "Connections": "max max_age idle reuse",
        "Timeouts": "connect idle",
        "Policy": "name action mode routes listeners rules",
        "Rule": "name mode from_ to when",
        "Route": "name match upstream respond redirect public ignore_credentials rewrite rate_limits requires "
        "deny allow forward cors timeout mirror request_headers response_headers",
        "Match": "listeners hosts paths methods headers",
        "Rewrite": "prefix path host",
        "Forward": "authorization headers",
        "Cors": "origins methods headers expose credentials max_age",
        "HeaderEdit": "set remove",
        "Respond": "status body",
        "Redirect": "to status",
    }.items()
}
_WHOLE = frozenset(("Source", "Operation", "Condition", "Requires"))  # carried, or said, by whoever writes the rules
_WHY = {
    "Config.workers": "the number of threads is an argument of Envoy's: --concurrency",
    "Config.admin": "Envoy's own admin address asks for no token, so none is opened",
    "Config.audit": "Envoy keeps no chain of records: it writes an access log to its standard output",
    "Config.store": "Envoy's local limits count in the process: shared ones need a rate limit service",
    "Config.state_dir": "Envoy keeps no state",
    "Config.log": "the level of Envoy's log is an argument: --log-level",
    "Listener.acme": "Envoy serves no files",
    "Listener.on_failed_authentication": "Envoy's limits count before it knows the outcome",
    "PathRules.semicolon": "Envoy keeps a semicolon in a path",
    "ListenerLimits.body": "Envoy bounds a body only by buffering it whole",
    "ListenerLimits.min_data_rate": "Envoy measures no data rate: its timeouts are of a stream that stands still",
    "ListenerLimits.data_rate_window": "Envoy measures no data rate: its timeouts are of a stream that stands still",
    "Route.max_body": "Envoy bounds a body only by buffering it whole",
    "Issuer.algorithms": "Envoy takes each key's own algorithm: keep only keys of these in the key set",
    "Issuer.token_type": "Envoy does not look at a token's typ",
    "Issuer.binding": "Envoy does not know bound tokens (RFC 8705, RFC 9449)",
    "Issuer.mode": "Envoy refuses the tokens of an issuer that it does not know; here they count as not sent",
    "Issuer.introspection": "Envoy asks nobody about opaque tokens: they are refused",
    "Bundle.url": "Envoy asks no bundle endpoint: fetch the bundle into a file",
    "Bundle.profile": "Envoy asks no bundle endpoint: fetch the bundle into a file",
    "Identity.workload_api": "Envoy speaks to SPIRE by SDS, which names its own cluster and secrets",
    "RevocationLists.url": "Envoy reads revocation lists from files",
    "Jwks.max_stale": "Envoy uses the last good keys without an end",
    "RateLimit.on_store_failure": "there is no store",
    "RateLimit.concurrency": "Envoy's local limits count rates",
    "RateLimit.overrides": "each caller is given the limit's own rate",
    "LimitUse.cost": "each request costs one",
    "Upstream.protocol": "clusters are given HTTP/1.1",
    "Upstream.token_exchange": "Envoy exchanges no tokens (RFC 8693)",
    "TrustDomain.ocsp": "Envoy asks no OCSP responder about client certificates",
    "ClientAuthority.ocsp": "Envoy asks no OCSP responder about client certificates",
    "Timeouts.response": "Envoy bounds the whole answer: write the route's `timeout`",
    "Forward.assertion": "Envoy signs no assertions",
    "Retries.hedge_after": "Envoy hedges when a try has timed out, not before",
    "Forward.trailers": "Envoy lets all trailers pass, or none: none do in the export",
    "Forward.keep": "these fields are kept on every route of the export",
}


def say_what_is_not(config: Config, report: Report) -> None:
    """Name every key that the file sets and the export does not carry."""
    _node(config, "", config.where, report)
    for domain in config.trust_domains.values():
        if domain.bundle.workload_api:
            why = "Envoy speaks to SPIRE by SDS, which names its own cluster and secrets"
            report.lose(domain.where, "", f"trust_domains.{domain.name}.bundle", why)
    for name, text in (("trust_domains", config.trust_domains), ("client_authorities", config.client_authorities)):
        if name == "trust_domains" and len(text) > 1 and any(domain.crl for domain in text.values()):
            report.lose(config.where, "", name, "Envoy's validator of several trust domains reads no revocation lists")
        elif name == "client_authorities" and text and config.trust_domains:
            report.lose(config.where, "", name, "beside trust_domains Envoy verifies by those alone")
        elif name == "client_authorities" and len(text) > 1:
            report.lose(config.where, "", name, "Envoy ties names to one authority: the first is carried")


def _node(node: Node, path: str, where: Place, report: Report) -> None:
    kind = type(node).__name__
    if kind in _WHOLE:
        return
    where = node.where if node.where.line else where
    carried = _CARRIED.get(kind, frozenset())
    for key, field in type(node).model_fields.items():
        if field.exclude or key not in node.model_fields_set:
            continue
        written = field.validation_alias if isinstance(field.validation_alias, str) else key
        here = f"{path}.{written}" if path else written
        held = getattr(node, key)
        if key not in carried:
            if held != field.default:
                report.lose(where, "", here, _WHY.get(f"{kind}.{key}", "it has no equal in Envoy's configuration"))
        else:
            _value(held, here, where, report)


def _value(held: object, path: str, where: Place, report: Report) -> None:
    if isinstance(held, Node):
        _node(held, path, where, report)
    elif isinstance(held, Mapping):
        for key, value in held.items():
            _value(value, f"{path}.{key}", where, report)
    elif isinstance(held, tuple):
        for index, value in enumerate(held):
            _value(value, f"{path}[{index}]", where, report)
