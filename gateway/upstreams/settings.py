"""What an upstream is told to be.

Rule: plain values; two equal settings mean that a reload keeps the upstream, its pools and its counts.
Invariant: no key material stands here; what is proved and believed in TLS is `UpstreamTls`.
"""

from dataclasses import dataclass, field

from gateway.model.connection import IPAddress


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One address of a backend."""

    url: str  # as the file writes it: the label of metrics and records
    host: str  # a name or an IP address, without brackets
    port: int
    tls: bool
    weight: int = 1
    address: IPAddress | None = None  # one of those that `host` has; None: whichever answers


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The pool of each endpoint, in each worker; times in seconds."""

    max: int = 256
    max_age: float = 600.0
    idle: float = 60.0
    reuse: bool = True  # False: a connection for each request
    max_pending: int = 1024  # requests that may wait for a connection at one endpoint


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """Seconds (contract section 2, Timeouts)."""

    connect: float = 2.0  # TCP and TLS
    response: float = 15.0  # from the last byte of the request to the head of the answer
    idle: float = 60.0  # no byte in either direction


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """When a request is sent again."""

    attempts: int = 1  # besides the first
    connect_failure: bool = True
    refused_stream: bool = True  # the backend says, or its silence proves, that it has not begun
    reset: bool = False  # the connection ended before the head of an answer
    statuses: frozenset[int] = frozenset()
    budget: int = 20  # percent of the requests at work that may be retries
    per_try: float | None = None  # seconds to the head of the answer
    hedge_after: float | None = None  # seconds without the head of an answer, until a second try begins beside it


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Active health checks; times in seconds."""

    path: str
    interval: float = 5.0
    timeout: float = 1.0
    healthy: int = 2  # good answers in a row that make an endpoint healthy again
    unhealthy: int = 3  # bad ones in a row that make it unhealthy


@dataclass(frozen=True, slots=True)
class OutlierSettings:
    """When an endpoint is left out because of how it answers requests."""

    consecutive_errors: int = 5
    ejection: float = 30.0  # seconds, times the ejections in a row
    max_ejected: int = 50  # percent of the endpoints


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """The circuit breaker, in each worker."""

    max_pending: int = 1024  # requests that wait for a connection
    max_requests: int = 1024  # requests at work


@dataclass(frozen=True, slots=True)
class SlowStartSettings:
    """How an endpoint that is new, or came back, comes to its full share."""

    window: float  # seconds
    aggression: float = 1.0  # 1: the share grows evenly; more: faster at first
    least: float = 0.1  # of the full share, from the beginning

    def share(self, age: float) -> float:
        """The part of its weight that an endpoint of this age (seconds) takes; 1 when it is warm."""
        if age >= self.window:
            return 1.0
        grown: float = (max(age, 0.0) / self.window) ** (1 / self.aggression)
        return max(self.least, grown)


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """One upstream."""

    name: str
    endpoints: tuple[EndpointSettings, ...]
    balance: str = "round_robin"  # a name in gateway.upstreams.balancers
    connections: ConnectionSettings = field(default_factory=ConnectionSettings)
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
    hash_key: str | None = None  # of consistent_hash
    retries: RetrySettings | None = None
    health: HealthSettings | None = None
    outlier: OutlierSettings | None = None
    breaker: BreakerSettings | None = None
    dns_refresh: float | None = None  # seconds; None: names are looked up when a connection is opened
    slow_start: SlowStartSettings | None = None
