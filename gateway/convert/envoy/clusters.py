"""Upstreams as clusters: endpoints, verified TLS with the gateway's identity, pools and bounds.

A backend over TLS is always verified, by what the file says or by the name in its URL.
Source: Envoy v3 API, config.cluster.v3, extensions.transport_sockets.tls.v3.
"""

from ipaddress import ip_address
from pathlib import Path

from gateway.config.schema import Config, Endpoint, Upstream
from gateway.convert.envoy.protos import Message, address, extension, file_source, seconds, typed
from gateway.convert.report import Report
from gateway.kernel.x509.spiffe import parse_trust_domain

SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"  # Envoy looks for none by itself where a name is verified
_POLICY = {
    "round_robin": "ROUND_ROBIN",
    "least_request": "LEAST_REQUEST",
    "random": "RANDOM",
    "consistent_hash": "RING_HASH",
}
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(config: Config, upstream: Upstream, report: Report) -> Message:
    """One upstream."""
    pool = upstream.connections
    message = _base(upstream.name, upstream.endpoints)
    message |= {
        "connect_timeout": seconds(upstream.timeouts.connect),
        "lb_policy": _POLICY[upstream.balance.policy],
        **_slow_start(upstream),
        **_resilience(upstream),
        "typed_extension_protocol_options": {
            _HTTP: typed(
                _HTTP.removeprefix("envoy."),
                common_http_protocol_options={
                    "idle_timeout": seconds(pool.idle),
                    "max_connection_duration": seconds(pool.max_age),
                    **({} if pool.reuse else {"max_requests_per_connection": 1}),
                },
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }
    secure = {endpoint.tls for endpoint in upstream.endpoints}
    if len(secure) > 1:
        path = f"upstreams.{upstream.name}.endpoints"
        report.lose(upstream.where, "", path, "http:// beside https://: only https:// is carried")
        message |= _base(upstream.name, tuple(each for each in upstream.endpoints if each.tls))
    if True in secure:
        message["transport_socket"] = _tls(config, upstream)
    return message


def for_keys(name: str, host: str, port: int, scheme: str, ca: Path | None) -> Message:
    """The cluster from which an issuer's key set is fetched."""
    message = _base(name, (Endpoint(url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"),))
    if scheme == "https":
        context: Message = {"trusted_ca": _roots(ca)}
        context["match_typed_subject_alt_names"] = [_named(host)]
        message["transport_socket"] = _context(host, context, None)
    return message


def _slow_start(upstream: Upstream) -> Message:
    slow = upstream.balance.slow_start
    if slow is None:
        return {}
    config: Message = {
        "slow_start_window": seconds(slow.window),
        "aggression": {"default_value": slow.aggression.value, "runtime_key": f"slow_start.{upstream.name}.aggression"},
        "min_weight_percent": {"value": float(slow.min_weight_percent.value)},
    }
    return {f"{upstream.balance.policy}_lb_config": {"slow_start_config": config}}


def _resilience(upstream: Upstream) -> Message:
    """Bounds, health and what is left out for a while."""
    bounds: Message = {}
    if upstream.circuit_breaker is not None:
        bounds["max_pending_requests"] = upstream.circuit_breaker.max_pending
        bounds["max_requests"] = upstream.circuit_breaker.max_requests
    if upstream.retries is not None:
        budget = {"value": float(upstream.retries.budget.value)}
        bounds["retry_budget"] = {"budget_percent": budget, "min_retry_concurrency": 3}
    found: Message = {
        "circuit_breakers": {
            "thresholds": [bounds],
            "per_host_thresholds": [{"max_connections": upstream.connections.max}],
        }
    }
    outliers = upstream.outlier_detection
    if outliers is not None:
        found["outlier_detection"] = {
            "consecutive_5xx": outliers.consecutive_errors,
            "base_ejection_time": seconds(outliers.ejection),
            "max_ejection_percent": round(outliers.max_ejected.value),
        }
    health = upstream.health_check
    if health is not None:
        check: Message = {
            "timeout": seconds(health.timeout),
            "interval": seconds(health.interval),
            "healthy_threshold": health.healthy,
            "unhealthy_threshold": health.unhealthy,
            "http_health_check": {"path": health.path},
        }
        found["health_checks"] = [check]
    if upstream.dns is not None:
        found["dns_refresh_rate"] = seconds(upstream.dns.refresh)
    return found


def _base(name: str, endpoints: tuple[Endpoint, ...]) -> Message:
    lb_endpoints: list[Message] = [
        {
            "endpoint": {"address": address(endpoint.host, endpoint.port), "hostname": endpoint.host},
            "load_balancing_weight": endpoint.weight,
        }
        for endpoint in endpoints
    ]
    return {
        "name": name,
        "type": "STATIC" if all(_is_address(endpoint.host) for endpoint in endpoints) else "STRICT_DNS",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": lb_endpoints}]},
    }


def _tls(config: Config, upstream: Upstream) -> Message:
    wanted = upstream.tls
    hosts = {endpoint.host for endpoint in upstream.endpoints if endpoint.tls}
    host = next(iter(hosts)) if len(hosts) == 1 else None
    identity = wanted.server_identity or host
    context: Message = {"trusted_ca": _roots(_authority(config, upstream))}
    if identity is not None:
        context["match_typed_subject_alt_names"] = [_named(identity)]
    own: Message | None = None
    if config.identity is not None and config.identity.files is not None:
        certificate, key = config.identity.files
        own = {"certificate_chain": file_source(certificate), "private_key": file_source(key)}
    return _context(wanted.server_name or host, context, own, by_endpoint=identity is None)


def _context(name: str | None, validation: Message, own: Message | None, *, by_endpoint: bool = False) -> Message:
    common: Message = {"validation_context": validation}
    if own is not None:
        common["tls_certificates"] = [own]
    fields: Message = {"common_tls_context": common}
    if name is not None and not _is_address(name):
        fields["sni"] = name
    if by_endpoint:
        fields |= {"auto_host_sni": True, "auto_sni_san_validation": True}
    return extension("envoy.transport_sockets.tls", "extensions.transport_sockets.tls.v3.UpstreamTlsContext", **fields)


def _authority(config: Config, upstream: Upstream) -> Path | None:
    identity = upstream.tls.server_identity or ""
    if upstream.tls.ca is None and identity.startswith("spiffe:"):
        domain = config.trust_domains.get(parse_trust_domain(identity))
        return domain.bundle.file if domain is not None else None
    return upstream.tls.ca


def _roots(ca: Path | None) -> Message:
    return file_source(ca) if ca is not None else {"filename": SYSTEM_ROOTS}


def _named(identity: str) -> Message:
    """A SubjectAltNameMatcher."""
    kind = "URI" if identity.startswith("spiffe:") else "IP_ADDRESS" if _is_address(identity) else "DNS"
    return {"san_type": kind, "matcher": {"exact": identity}}


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
