"""`upstreams` and `identity` into clusters.

Rule: a cluster lives over a reload when its settings are equal; changed certificates alone rotate it.
Invariant: building touches nothing that serves; `swap_in` does, when the new snapshot is about to.
"""

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.schema import CircuitBreaker, Config, HealthCheck, OutlierDetection, Retries, TrustDomain, Upstream
from gateway.control.build.lists import list_file, list_rules
from gateway.kernel.cells import Counter, Metrics
from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import read_leaf, spiffe_id
from gateway.kernel.x509.spiffe import parse_trust_domain
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.endpoint import RESULTS
from gateway.upstreams.identity import TlsMaterial, UpstreamTls
from gateway.upstreams.settings import (
    BreakerSettings,
    ConnectionSettings,
    EndpointSettings,
    HealthSettings,
    OutlierSettings,
    RetrySettings,
    TimeoutSettings,
    UpstreamSettings,
)

_STATES = ("active", "idle", "connecting")


class Upstreams:
    """The clusters of one config.

    `swap_in` before its snapshot serves; then `close` the ones before, naming these as those to keep.
    """

    def __init__(self, clusters: Mapping[str, Cluster], rotations: Mapping[str, UpstreamTls]) -> None:
        """`rotations`: for clusters that were kept, the certificates that changed."""
        self.clusters = clusters
        self._rotations = dict(rotations)

    def swap_in(self, metrics: Metrics) -> None:
        """Use changed certificates from the next connection on; begin the clusters' checks, and their gauges."""
        for name, tls in self._rotations.items():
            self.clusters[name].rotate(tls)
        self._rotations.clear()
        metrics.upstream_connections.keep({(name, state) for name in self.clusters for state in _STATES})
        for name, cluster in self.clusters.items():
            for state in _STATES:
                metrics.upstream_connections.labels(name, state).ask(_gauge(cluster, state))
            cluster.start()
        self._tell(metrics)

    def _tell(self, metrics: Metrics) -> None:
        """Gauges of the endpoints whose health and ejections are watched."""
        ejected, healthy = metrics.upstream_ejected, metrics.upstream_healthy
        urls = [
            (cluster, endpoint.url) for cluster in self.clusters.values() for endpoint in cluster.settings.endpoints
        ]
        judged = [(cluster, url) for cluster, url in urls if cluster.settings.outlier is not None]
        checked = [(cluster, url) for cluster, url in urls if cluster.settings.health is not None]
        ejected.keep({(cluster.name, url) for cluster, url in judged})
        healthy.keep({(cluster.name, url) for cluster, url in checked})
        for cluster, url in judged:
            ejected.labels(cluster.name, url).ask(partial(_truth, cluster.ejected, url))
        for cluster, url in checked:
            healthy.labels(cluster.name, url).ask(partial(_truth, cluster.healthy, url))

    def close(self, keep: "Upstreams | None" = None) -> None:
        """Retire every cluster that is not also one of `keep`'s: what is at work there finishes."""
        kept = keep.clusters if keep is not None else {}
        for name, cluster in self.clusters.items():
            if kept.get(name) is not cluster:
                cluster.retire()

    def abort(self) -> None:
        """Break off every connection: the process ends."""
        for cluster in self.clusters.values():
            cluster.abort()


def build_upstreams(config: Config, previous: Upstreams | None, metrics: Metrics) -> Upstreams:
    """The clusters for `config`: those of `previous` whose settings are equal, fresh ones for the rest.

    Raises ValueError, which names the upstream, for certificates that cannot be used.
    """
    clusters: dict[str, Cluster] = {}
    rotations: dict[str, UpstreamTls] = {}
    for name, upstream in config.upstreams.items():
        settings = _settings(upstream)
        tls = upstream_tls(config, upstream)
        before = previous.clusters.get(name) if previous is not None else None
        if before is None or before.settings != settings or (before.tls is None) != (tls is None):
            clusters[name] = Cluster(settings, tls, lambda url, name=name: _counters(metrics, name, url))  # type: ignore[misc]
            continue
        clusters[name] = before
        if tls is not None and before.tls is not None and tls.fingerprint != before.tls.fingerprint:
            rotations[name] = tls
    return Upstreams(clusters, rotations)


def own_spiffe_id(config: Config) -> str | None:
    """What the gateway calls itself in X-Forwarded-Client-Cert (`By`); None without an identity that is an SVID."""
    if config.identity is None:
        return None
    try:
        leaf = x509.load_pem_x509_certificate(config.identity.certificate.read_bytes())
        found = spiffe_id(read_leaf(leaf.public_bytes(Encoding.DER)))
    except CertificateFault:
        return None
    return found.id if found is not None else None


def _settings(upstream: Upstream) -> UpstreamSettings:
    connections, timeouts = upstream.connections, upstream.timeouts
    return UpstreamSettings(
        upstream.name,
        tuple(EndpointSettings(e.url, e.host, e.port, e.tls, e.weight) for e in upstream.endpoints),
        upstream.balance.policy,
        ConnectionSettings(connections.max, connections.max_age, connections.idle, connections.reuse),
        TimeoutSettings(timeouts.connect, timeouts.response, timeouts.idle),
        hash_key=upstream.balance.key,
        retries=_retries(upstream.retries) if upstream.retries is not None else None,
        health=_health(upstream.health_check) if upstream.health_check is not None else None,
        outlier=_outlier(upstream.outlier_detection) if upstream.outlier_detection is not None else None,
        breaker=_breaker(upstream.circuit_breaker) if upstream.circuit_breaker is not None else None,
        dns_refresh=upstream.dns.refresh if upstream.dns is not None else None,
    )


def _retries(retries: Retries) -> RetrySettings:
    return RetrySettings(
        retries.attempts,
        "connect_failure" in retries.on,
        "refused_stream" in retries.on,
        "reset" in retries.on,
        frozenset(int(condition) for condition in retries.on if condition.isdigit()),
        retries.budget.value,
        retries.per_try,
    )


def _health(check: HealthCheck) -> HealthSettings:
    return HealthSettings(check.path, check.interval, check.timeout, check.healthy, check.unhealthy)


def _outlier(detection: OutlierDetection) -> OutlierSettings:
    return OutlierSettings(detection.consecutive_errors, detection.ejection, detection.max_ejected.value)


def _breaker(breaker: CircuitBreaker) -> BreakerSettings:
    return BreakerSettings(breaker.max_pending, breaker.max_requests)


def trust_files(config: Config, upstream: Upstream) -> tuple[Path | None, Path | None]:
    """The bundle that its backends are judged by (None: the system's roots), and the revocation lists."""
    domain = _domain(config, upstream)
    return (domain.bundle, list_file(config, domain.crl)) if domain is not None else (upstream.tls.ca, None)


def _domain(config: Config, upstream: Upstream) -> TrustDomain | None:
    """The trust domain whose bundle its backends are judged by."""
    expected = upstream.tls.server_identity
    if upstream.tls.ca is None and expected is not None and expected.startswith("spiffe://"):
        return config.trust_domains[parse_trust_domain(expected)]
    return None


def upstream_tls(config: Config, upstream: Upstream) -> UpstreamTls | None:
    """What the gateway proves and believes there; None when every endpoint is plain http. Raises ValueError."""
    hosts = [endpoint.host for endpoint in upstream.endpoints if endpoint.tls]
    if not hosts:
        return None
    identity, expected = config.identity, upstream.tls.server_identity
    authorities, crl = trust_files(config, upstream)
    domain = _domain(config, upstream)
    material = TlsMaterial(
        expected,
        upstream.tls.server_name,
        authorities,
        crl,
        identity.certificate if identity is not None else None,
        identity.key if identity is not None else None,
        fetched=domain is not None and list_rules(domain.crl).fetched,
    )
    try:
        return UpstreamTls(material, hosts)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ValueError(f"{upstream.where}: upstream {upstream.name}: TLS cannot be set up: {error}") from None


def _counters(metrics: Metrics, name: str, url: str) -> dict[str, Counter]:
    return {result: metrics.upstream_requests.labels(name, url, result) for result in RESULTS}


def _truth(judge: Callable[[str], bool], url: str) -> float:
    return float(judge(url))


def _gauge(cluster: Cluster, state: str) -> Callable[[], float]:
    return lambda: float(cluster.connections(state))
