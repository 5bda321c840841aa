"""`upstreams` and `identity` into clusters.

Rule: a cluster lives over a reload when its settings are equal; changed certificates alone rotate it.
Invariant: building touches nothing that serves; `swap_in` does, when the new snapshot is about to.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.schema import (
    CircuitBreaker,
    Config,
    HealthCheck,
    OutlierDetection,
    Retries,
    SlowStart,
    TrustDomain,
    Upstream,
)
from gateway.control.build.lists import list_file, list_rules
from gateway.control.feeds.svid import Svid
from gateway.kernel.cells import Counter, Metrics
from gateway.kernel.x509.leaf import pem_spiffe_id
from gateway.kernel.x509.spiffe import parse_trust_domain
from gateway.kernel.x509.trust import Authority
from gateway.model.reason import Reason
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.endpoint import RESULTS
from gateway.upstreams.identity import TlsMaterial, UnreadyTls, UpstreamTls
from gateway.upstreams.settings import (
    BreakerSettings,
    ConnectionSettings,
    EndpointSettings,
    HealthSettings,
    OutlierSettings,
    RetrySettings,
    SlowStartSettings,
    TimeoutSettings,
    UpstreamSettings,
)

_REPEATS = ("retry", "hedge")
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


@dataclass(frozen=True, slots=True)
class Given:
    """What certificates are made of besides files: what the Workload API and bundle endpoints gave so far."""

    domains: Mapping[str, Authority] = field(default_factory=dict)
    svid: Svid | None = None


NOTHING = Given()


def build_upstreams(config: Config, previous: Upstreams | None, metrics: Metrics, given: Given = NOTHING) -> Upstreams:
    """The clusters for `config`: those of `previous` whose settings are equal, fresh ones for the rest.

    Raises ValueError, which names the upstream, for certificates that cannot be used.
    """
    clusters: dict[str, Cluster] = {}
    rotations: dict[str, UpstreamTls] = {}
    for name, upstream in config.upstreams.items():
        settings = _settings(upstream)
        tls = upstream_tls(config, upstream, given)
        before = previous.clusters.get(name) if previous is not None else None
        if before is None or before.settings != settings or (before.tls is None) != (tls is None):
            known = None if before is None else {endpoint.url for endpoint in before.settings.endpoints}
            counters = partial(_counters, metrics, name)
            repeats = (
                {kind: metrics.upstream_retries.labels(name, kind) for kind in _REPEATS} if upstream.retries else None
            )
            clusters[name] = Cluster(settings, tls, counters, repeats=repeats, known=known)
            continue
        clusters[name] = before
        if tls is not None and before.tls is not None and tls.fingerprint != before.tls.fingerprint:
            rotations[name] = tls
    return Upstreams(clusters, rotations)


def own_spiffe_id(config: Config, svid: Svid | None = None) -> str | None:
    """What the gateway calls itself, in X-Forwarded-Client-Cert (`By`) too; None without an identity that is an SVID.

    `svid`: that the Workload API gave.
    """
    if config.identity is None or config.identity.certificate is None:
        return svid.id if svid is not None else None
    found = pem_spiffe_id(config.identity.certificate.read_bytes())
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
        slow_start=_slow_start(upstream.balance.slow_start) if upstream.balance.slow_start is not None else None,
    )


def _slow_start(slow: SlowStart) -> SlowStartSettings:
    return SlowStartSettings(slow.window, slow.aggression.value, slow.min_weight_percent.value / 100)


def _retries(retries: Retries) -> RetrySettings:
    return RetrySettings(
        retries.attempts,
        "connect_failure" in retries.on,
        "refused_stream" in retries.on,
        "reset" in retries.on,
        frozenset(int(condition) for condition in retries.on if condition.isdigit()),
        retries.budget.value,
        retries.per_try,
        retries.hedge_after,
    )


def _health(check: HealthCheck) -> HealthSettings:
    return HealthSettings(check.path, check.interval, check.timeout, check.healthy, check.unhealthy)


def _outlier(detection: OutlierDetection) -> OutlierSettings:
    return OutlierSettings(detection.consecutive_errors, detection.ejection, detection.max_ejected.value)


def _breaker(breaker: CircuitBreaker) -> BreakerSettings:
    return BreakerSettings(breaker.max_pending, breaker.max_requests)


def trust_files(config: Config, upstream: Upstream) -> tuple[Path | None, Path | None]:
    """Of the files: the bundle that its backends are judged by (None: it lies in none), and the revocation lists."""
    domain = _trust_domain(config, upstream)
    return (upstream.tls.ca, None) if domain is None else (domain.bundle.file, list_file(config, domain.crl))


def hangs_on_given(config: Config, upstream: Upstream) -> bool:
    """True when what its TLS is made of does not all lie in files."""
    domain = _trust_domain(config, upstream)
    return (config.identity is not None and config.identity.files is None) or (
        domain is not None and domain.bundle.file is None
    )


def _trust_domain(config: Config, upstream: Upstream) -> TrustDomain | None:
    """Whose bundle its backends are judged by; None: a file of its own, or the system's roots."""
    expected = upstream.tls.server_identity
    if upstream.tls.ca is None and expected is not None and expected.startswith("spiffe://"):
        return config.trust_domains[parse_trust_domain(expected)]
    return None


def upstream_tls(config: Config, upstream: Upstream, given: Given = NOTHING) -> UpstreamTls | None:
    """What the gateway proves and believes there; None when every endpoint is plain http. Raises ValueError."""
    hosts = [endpoint.host for endpoint in upstream.endpoints if endpoint.tls]
    if not hosts:
        return None
    identity, domain = config.identity, _trust_domain(config, upstream)
    authorities: Path | bytes | None
    certificate: Path | bytes | None = identity.certificate if identity is not None else None
    key: Path | bytes | None = identity.key if identity is not None else None
    authorities, crl = trust_files(config, upstream)
    if identity is not None and identity.files is None:
        if given.svid is None:
            return UnreadyTls(Reason.IDENTITY_UNAVAILABLE, "the gateway has no SVID yet")
        certificate, key = given.svid.certificates, given.svid.key
    if domain is not None and authorities is None:
        authority = given.domains.get(domain.name)
        if authority is None or not authority.known:
            return UnreadyTls(Reason.KEYS_UNAVAILABLE, f"the bundle of {domain.name} is not available yet")
        authorities = b"".join(anchor.public_bytes(Encoding.PEM) for anchor in authority.anchors)
    material = TlsMaterial(
        upstream.tls.server_identity,
        upstream.tls.server_name,
        authorities,
        crl,
        certificate,
        key,
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
