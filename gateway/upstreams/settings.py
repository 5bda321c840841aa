"""What an upstream is told to be.

Rule: plain values; two equal settings mean that a reload keeps the upstream, its pools and its counts.
Invariant: no key material stands here; what is proved and believed in TLS is `UpstreamTls`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One address of a backend."""

    url: str  # as the file writes it: the label of metrics and records
    host: str  # a name or an IP address, without brackets
    port: int
    tls: bool
    weight: int = 1


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
class UpstreamSettings:
    """One upstream."""

    name: str
    endpoints: tuple[EndpointSettings, ...]
    balance: str = "round_robin"  # a name in gateway.upstreams.balancers
    connections: ConnectionSettings = field(default_factory=ConnectionSettings)
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
