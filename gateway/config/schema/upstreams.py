"""The backends: `upstreams`.

A backend is verified before a byte of a request goes to it, by `server_identity`, else by the name in its URL.
Every wait has a bound.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.config.schema.base import Named, Node
from gateway.config.schema.clients import OAuthClient
from gateway.config.schema.scalars import (
    Boolean,
    Duration,
    FactorNumber,
    FilePath,
    Integer,
    NonEmpty,
    PercentText,
    Some,
)
from gateway.config.schema.units import Factor, Percent

_PORTS = {"https": 443, "http": 80}
RETRY_CONDITIONS = ("connect_failure", "refused_stream", "reset")


class Endpoint(Node):
    """One address of a backend: `https://HOST:PORT`."""

    url: NonEmpty
    weight: Annotated[Integer, Field(ge=1, le=1000)] = 1

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, data: Any) -> Any:
        return {"url": data} if isinstance(data, str) else data

    @property
    def tls(self) -> bool:
        """True for https."""
        return self.url.startswith("https://")

    @property
    def host(self) -> str:
        """The host, lower case, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port that is written, else the scheme's."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]


class UpstreamTls(Node):
    """How a backend is verified."""

    server_identity: NonEmpty | None = None
    """Its SPIFFE id, or a DNS name; default: the name in its URL."""
    server_name: NonEmpty | None = None
    """The SNI that is sent; default: the name in its URL."""
    ca: FilePath | None = None
    """PEM file; default: the bundle of the SPIFFE id's trust domain, else the system's roots."""


class Connections(Node):
    """The pool, per endpoint."""

    max: Annotated[Integer, Field(ge=1)] = 256
    max_age: Annotated[Duration, Field(gt=0)] = 600.0
    idle: Annotated[Duration, Field(gt=0)] = 60.0
    reuse: Boolean = True
    """false: a new connection for each request."""


class Timeouts(Node):
    """How long a backend may take (contract section 2)."""

    connect: Annotated[Duration, Field(gt=0)] = 2.0
    """TCP and TLS."""
    response: Annotated[Duration, Field(gt=0)] = 15.0
    """From the last byte of the request to the head of the answer."""
    idle: Annotated[Duration, Field(gt=0)] = 60.0
    """No byte in either direction."""


def _condition(text: str) -> str:
    if text in RETRY_CONDITIONS or (text.isascii() and text.isdigit() and 400 <= int(text) <= 599):
        return text
    raise ValueError(f'{text!r} is nothing to retry on: write {", ".join(RETRY_CONDITIONS)} or a status like "503"')


class SlowStart(Node):
    """How an endpoint comes to its full share of the requests."""

    window: Annotated[Duration, Field(gt=0)]
    """How long it takes."""
    aggression: FactorNumber = Factor(1.0)
    """1: the share grows evenly; more: faster at first; less: slower."""
    min_weight_percent: PercentText = Percent(10)
    """Of its weight, from the beginning; 1% at least."""


class Balance(Node):
    """Which endpoint takes a request: the policy alone, or with its key."""

    policy: Literal["round_robin", "least_request", "random", "consistent_hash"] = "round_robin"
    key: NonEmpty | None = None
    """Of consistent_hash: `header:NAME`, `claim:NAME` or `client_ip`; requests without it go anywhere."""
    slow_start: SlowStart | None = None
    """Of round_robin and least_request: an endpoint that is new, or came back, takes its share bit by bit."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"policy": data} if isinstance(data, str) else data

    def short(self) -> str | None:
        return self.policy if self.key is None and self.slow_start is None else None


class Retries(Node):
    """Sending a request again, only where that is safe."""

    attempts: Annotated[Integer, Field(ge=1, le=10)] = 1
    """Besides the first."""
    on: Some[Annotated[NonEmpty, AfterValidator(_condition)]] = ("connect_failure", "refused_stream", "503")
    """connect_failure, refused_stream, reset, or statuses (in quotes)."""
    budget: PercentText = Percent(20)
    """Of the requests at work that may be retries; three may always."""
    per_try: Annotated[Duration, Field(gt=0)] | None = None
    """To the head of the answer; default: as long as `timeouts` lets it."""
    hedge_after: Annotated[Duration, Field(gt=0)] | None = None
    """Without the head of an answer: a second try beside the first, whichever answers first; default: none."""


class HealthCheck(Node):
    """A GET that healthy endpoints answer with 2xx."""

    path: NonEmpty
    interval: Annotated[Duration, Field(gt=0)] = 5.0
    timeout: Annotated[Duration, Field(gt=0)] = 1.0
    healthy: Annotated[Integer, Field(ge=1)] = 2
    """Good answers in a row that make an endpoint healthy again."""
    unhealthy: Annotated[Integer, Field(ge=1)] = 3
    """Bad ones in a row that make it unhealthy."""


class OutlierDetection(Node):
    """Leaving out an endpoint that fails request after request."""

    consecutive_errors: Annotated[Integer, Field(ge=1)] = 5
    """Answers 5xx and requests without an answer, in a row."""
    ejection: Annotated[Duration, Field(gt=0)] = 30.0
    """How long, times the ejections in a row; five minutes at most."""
    max_ejected: PercentText = Percent(50)
    """Of the endpoints."""


class CircuitBreaker(Node):
    """Bounds, in each worker, beyond which requests are refused with 503."""

    max_pending: Annotated[Integer, Field(ge=1)] = 1024
    """Requests that wait for a connection."""
    max_requests: Annotated[Integer, Field(ge=1)] = 1024
    """Requests at work."""


class Dns(Node):
    """Looking names up again; each address counts as an endpoint."""

    refresh: Annotated[Duration, Field(gt=0)] = 30.0


class TokenExchange(OAuthClient):
    """The caller's token is exchanged (RFC 8693) for one that is meant for the backend, and stands in its place."""

    issuer: NonEmpty | None = None
    """Whose tokens are exchanged, and where: a name of issuers; default: the only one."""
    audiences: Some[NonEmpty] = ()
    """Whom the new token is for, by names that the issuer knows."""
    resources: Some[NonEmpty] = ()
    """The same by URIs."""
    scopes: Some[NonEmpty] = ()
    """What it is good for; default: what the issuer grants."""
    cache: Annotated[Duration, Field(ge=0, le=3600)] = 300.0
    """How long a new token is used again, never past the end of either; 0s: not at all."""


class Upstream(Named):
    """One backend, served by its endpoints."""

    endpoints: Some[Endpoint]
    tls: UpstreamTls = Field(default_factory=UpstreamTls)
    protocol: Literal["auto", "http1"] = "auto"
    balance: Balance = Field(default_factory=Balance)
    connections: Connections = Field(default_factory=Connections)
    timeouts: Timeouts = Field(default_factory=Timeouts)
    retries: Retries | None = None
    health_check: HealthCheck | None = None
    outlier_detection: OutlierDetection | None = None
    circuit_breaker: CircuitBreaker | None = None
    dns: Dns | None = None
    token_exchange: TokenExchange | None = None
    """Whether callers' tokens are exchanged for ones that are meant for this backend."""
