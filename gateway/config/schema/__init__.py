"""The schema of routes.yaml: typed, immutable objects whose attributes are the keys of the contract (section 2).

A file by meaning. `from` is `from_`; durations are seconds, sizes bytes, paths absolute.
What is not built yet is no part of it (`gateway.config.unbuilt`).
"""

from gateway.config.document import NOWHERE
from gateway.config.schema.audit import Audit, Segment, Sink
from gateway.config.schema.base import Named, Node
from gateway.config.schema.clients import OAuthClient
from gateway.config.schema.config import Config, Log
from gateway.config.schema.issuers import Binding, Introspection, Issuer, Jwks
from gateway.config.schema.limits import LimitUse, Override, RateLimit
from gateway.config.schema.listeners import Admin, CertificateFiles, Listener, ListenerLimits, ListenerTls, PathRules
from gateway.config.schema.posture import Posture, PostureSource
from gateway.config.schema.routes import (
    Asserted,
    Cors,
    DataClass,
    Forward,
    HeaderEdit,
    Match,
    Mirror,
    Redirect,
    Requires,
    Respond,
    Rewrite,
    Route,
    WebSocket,
    WeightedUpstream,
)
from gateway.config.schema.rules import Condition, Operation, Policy, Rule, Source
from gateway.config.schema.scalars import UNLIMITED
from gateway.config.schema.telemetry import Telemetry
from gateway.config.schema.trust import (
    Assertion,
    Bundle,
    ClientAuthority,
    Identity,
    Ocsp,
    RevocationLists,
    TrustDomain,
)
from gateway.config.schema.units import Address, Percent, Rate
from gateway.config.schema.upstreams import (
    Balance,
    CircuitBreaker,
    Connections,
    Dns,
    Endpoint,
    HealthCheck,
    OutlierDetection,
    Retries,
    SlowStart,
    Timeouts,
    TokenExchange,
    Upstream,
    UpstreamTls,
)
from gateway.kernel.patterns.blocks import Network

__all__ = [
    "NOWHERE",
    "UNLIMITED",
    "Address",
    "Admin",
    "Asserted",
    "Assertion",
    "Audit",
    "Balance",
    "Binding",
    "Bundle",
    "CertificateFiles",
    "CircuitBreaker",
    "ClientAuthority",
    "Condition",
    "Config",
    "Connections",
    "Cors",
    "DataClass",
    "Dns",
    "Endpoint",
    "Forward",
    "HeaderEdit",
    "HealthCheck",
    "Identity",
    "Introspection",
    "Issuer",
    "Jwks",
    "LimitUse",
    "Listener",
    "ListenerLimits",
    "ListenerTls",
    "Log",
    "Match",
    "Mirror",
    "Named",
    "Network",
    "Node",
    "OAuthClient",
    "Ocsp",
    "Operation",
    "OutlierDetection",
    "Override",
    "PathRules",
    "Percent",
    "Policy",
    "Posture",
    "PostureSource",
    "Rate",
    "RateLimit",
    "Redirect",
    "Requires",
    "Respond",
    "Retries",
    "RevocationLists",
    "Rewrite",
    "Route",
    "Rule",
    "Segment",
    "Sink",
    "SlowStart",
    "Source",
    "Telemetry",
    "Timeouts",
    "TokenExchange",
    "TrustDomain",
    "Upstream",
    "UpstreamTls",
    "WebSocket",
    "WeightedUpstream",
]
