"""Where clients and operators connect: `listeners` and `admin`.

A listener without tls stands on loopback or redirects to https.
`client_certificate` is never None once loaded: its default hangs on the rest of the file (contract section 11).
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gateway.config.schema.base import Named, Node
from gateway.config.schema.scalars import (
    AdminAddress,
    BodySize,
    Boolean,
    Cidr,
    Duration,
    FilePath,
    Integer,
    ListenAddress,
    Name,
    Secret,
    Size,
    Some,
)

ClientCertificate: TypeAlias = Literal["none", "optional", "required"]


class CertificateFiles(Node):
    """A certificate chain and its private key, both PEM."""

    certificate: FilePath
    """The certificate, then its intermediates. Watched, and swapped while serving."""
    key: FilePath
    """The private key that belongs to it."""


class ListenerTls(Node):
    """What a listener proves and asks for in the handshake. Either `certificate` and `key`, or `certificates`."""

    certificate: FilePath | None = None
    """The certificate chain; short for one entry of `certificates`."""
    key: FilePath | None = None
    """Its private key."""
    certificates: Some[CertificateFiles] = ()
    """Several, chosen by SNI: exact names before wildcards, else the first."""
    client_certificate: ClientCertificate | None = None
    """none, optional (PERMISSIVE) or required (STRICT)."""
    min_version: Literal["1.2", "1.3"] = "1.3"
    """The oldest version of TLS that is spoken."""
    resumption: Boolean = True
    """Who comes back within the hour may resume its session, its certificate judged again; not with several."""

    @property
    def pairs(self) -> tuple[CertificateFiles, ...]:
        """All certificates, however they are written."""
        if self.certificate is not None and self.key is not None:
            return (CertificateFiles(where=self.where, certificate=self.certificate, key=self.key),)
        return self.certificates


class PathRules(Node):
    """What becomes of the parts of a path that different programs read differently."""

    double_slash: Literal["reject", "merge"] = "reject"
    encoded_slash: Literal["reject", "keep"] = "reject"
    semicolon: Literal["reject", "keep"] = "reject"


class ListenerLimits(Node):
    """How much one connection or request may take."""

    header_bytes: Annotated[Size, Field(ge=1024, le=1 << 20)] = 32 * 1024
    """Request line and fields together."""
    headers: Annotated[Integer, Field(ge=1, le=10000)] = 100
    """Number of fields."""
    body: BodySize = 10 * 1024 * 1024
    """Of one request; a route's `max_body` overrides it."""
    header_timeout: Annotated[Duration, Field(gt=0)] = 10.0
    """From the first byte (or the end of the handshake) to the end of the head."""
    idle_timeout: Annotated[Duration, Field(gt=0)] = 60.0
    """A connection without a request."""
    connections: Annotated[Integer, Field(ge=1)] = 10000
    """Open at one time."""
    min_data_rate: Size = 240
    """A second: a client that sends its body or takes its answer slower than this is ended; 0: none is."""
    data_rate_window: Annotated[Duration, Field(gt=0)] = 30.0
    """What the rate is measured over; time in which nothing is asked of the client does not count."""


class Listener(Named):
    """One address on which requests are taken."""

    address: ListenAddress
    tls: ListenerTls | None = None
    redirect: Literal["https"] | None = None
    """Answers every request with 308 to the same URL under https."""
    acme: FilePath | None = None
    """Directory whose files answer /.well-known/acme-challenge/ on a redirecting listener."""
    protocols: Some[Literal["http/1.1"]] = ("http/1.1",)
    """ALPN, most wanted first."""
    paths: PathRules = Field(default_factory=PathRules)
    trusted_proxies: tuple[Cidr, ...] = ()
    """Peers whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id are believed."""
    proxy_protocol: Boolean = False
    """Of trusted_proxies, and of nobody else: a PROXY header (version 2) comes first and names the client."""
    limits: ListenerLimits = Field(default_factory=ListenerLimits)
    rate_limits: tuple[Name, ...] = ()
    """For every request of the listener, unmatched ones too."""
    on_failed_authentication: Name | None = None
    """The rate limit that each failed credential is charged to, by address."""


class Admin(Node):
    """The operators' address: health, metrics, status, reload (contract section 12)."""

    address: AdminAddress
    token: Secret | None = None
    """Without one, on loopback or a Unix socket, a random one is written into `state_dir`."""
    tls: ListenerTls | None = None
