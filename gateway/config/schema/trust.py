"""Who the gateway is, and whose certificates it believes: `identity`, `trust_domains`, `client_authorities`.

A SPIFFE id is believed only if the bundle of its own trust domain signed it.
A common name is never an identity.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gateway.config.schema.base import Named, Node
from gateway.config.schema.scalars import Duration, FilePath, NonEmpty, Some


class Identity(Node):
    """What the gateway proves to backends."""

    certificate: FilePath
    key: FilePath


class RevocationLists(Node):
    """Where an authority's revocation lists (CRL) come from, and what they mean: a PEM file, or a URL and more."""

    file: FilePath | None = None
    """PEM, one or several; watched."""
    url: NonEmpty | None = None
    """Of one list, PEM or DER. The last good one is kept in `state_dir`."""
    ca: FilePath | None = None
    """PEM file of the private authority of the URL's own certificate."""
    refresh: Annotated[Duration, Field(ge=1)] = 3600.0
    """How often the URL is asked, at least; sooner where nextUpdate comes sooner."""
    on_failure: Literal["deny", "allow"] = "deny"
    """What becomes of a certificate while no list of its issuer that is in date is at hand."""
    check: Literal["chain", "leaf"] = "chain"
    """Whether certificates between leaf and root have to be on no list either."""

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, data: Any) -> Any:
        if isinstance(data, str) and "://" in data:
            raise ValueError("crl names a file: write {url: …} for a list that is fetched")
        return {"file": data} if isinstance(data, str) else data

    def short(self) -> Path | None:
        return self.file if (self.on_failure, self.check) == ("deny", "chain") else None


class TrustDomain(Named):
    """One SPIFFE trust domain; its name is the domain's."""

    bundle: FilePath
    """PEM file of its authorities."""
    crl: RevocationLists | None = None
    """Its revocation lists."""


class ClientAuthority(Named):
    """Who may vouch for which DNS names, in certificates without a SPIFFE id; the identity is `dns:NAME`."""

    bundle: FilePath
    crl: RevocationLists | None = None
    """Its revocation lists."""
    names: Some[NonEmpty]
    """Exact, or `*.suffix`."""
