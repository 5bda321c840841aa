"""Who the gateway is, and whose certificates it believes: `identity`, `trust_domains`, `client_authorities`.

A SPIFFE id is believed only if the bundle of its own trust domain signed it.
A common name is never an identity.
"""

from gateway.config.schema.base import Named, Node
from gateway.config.schema.scalars import FilePath, NonEmpty, Some


class Identity(Node):
    """What the gateway proves to backends."""

    certificate: FilePath
    key: FilePath


class Assertion(Node):
    """How the gateway signs what it tells backends about the caller (X-Gateway-Assertion)."""

    key: FilePath | None = None
    """PEM file of a P-256 private key; without one a key is made at the start."""
    issuer: NonEmpty | None = None
    """The `iss` claim; default: the gateway's SPIFFE id."""
    previous: tuple[FilePath, ...] = ()
    """PEM files of other keys that are published too: those before, or the next one."""


class TrustDomain(Named):
    """One SPIFFE trust domain; its name is the domain's."""

    bundle: FilePath
    """PEM file of its authorities."""
    crl: FilePath | None = None
    """PEM file of its revocation lists."""


class ClientAuthority(Named):
    """Who may vouch for which DNS names, in certificates without a SPIFFE id; the identity is `dns:NAME`."""

    bundle: FilePath
    crl: FilePath | None = None
    names: Some[NonEmpty]
    """Exact, or `*.suffix`."""
