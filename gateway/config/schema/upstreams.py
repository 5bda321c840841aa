"""The backends: `upstreams`.

A backend is verified before a byte of a request goes to it, by `server_identity`, else by the name in its URL.
Every wait has a bound.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gateway.config.schema.base import Named, Node
from gateway.config.schema.scalars import Boolean, Duration, FilePath, Integer, NonEmpty, Some

_PORTS = {"https": 443, "http": 80}


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


class Upstream(Named):
    """One backend, served by its endpoints."""

    endpoints: Some[Endpoint]
    tls: UpstreamTls = Field(default_factory=UpstreamTls)
    protocol: Literal["auto", "http1"] = "auto"
    balance: Literal["round_robin", "least_request"] = "round_robin"
    connections: Connections = Field(default_factory=Connections)
    timeouts: Timeouts = Field(default_factory=Timeouts)
