"""Who the gateway is, and whose certificates it believes: `identity`, `trust_domains`, `client_authorities`.

A SPIFFE id is believed only if the bundle of its own trust domain signed it.
A common name is never an identity.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from gateway.config.schema.base import Named, Node
from gateway.config.schema.scalars import Boolean, Duration, FilePath, NonEmpty, Some

_WORKLOAD = "\0workload_api"  # an alias that no file can hold


class Identity(Node):
    """What the gateway proves to backends: a certificate and its key, or what the SPIFFE Workload API gives."""

    certificate: FilePath | None = None
    key: FilePath | None = None
    workload_api: NonEmpty | None = None
    """The socket of the Workload API, unix:///absolute/path; in the place of files."""
    hint: NonEmpty | None = None
    """Of several SVIDs the one with this hint; default: the first."""

    @property
    def files(self) -> tuple[Path, Path] | None:
        """Certificate and key; None where they come from the Workload API."""
        return (self.certificate, self.key) if self.certificate is not None and self.key is not None else None


class Assertion(Node):
    """How the gateway signs what it tells backends about the caller (X-Gateway-Assertion)."""

    key: FilePath | None = None
    """PEM file of a P-256 private key; without one a key is made at the start."""
    issuer: NonEmpty | None = None
    """The `iss` claim; default: the gateway's SPIFFE id."""
    previous: tuple[FilePath, ...] = ()
    """PEM files of other keys that are published too: those before, or the next one."""


class Bundle(Node):
    """Where authorities come from: a PEM file, a SPIFFE bundle endpoint (`{url, profile, …}`), or the Workload API."""

    file: FilePath | None = None
    """PEM; watched."""
    url: NonEmpty | None = None
    """Of a SPIFFE bundle endpoint."""
    profile: Literal["https_web", "https_spiffe"] | None = None
    """How the endpoint proves itself: by a certificate for its name, or by an SVID."""
    ca: FilePath | None = None
    """https_web: PEM file of the private authority of its certificate."""
    endpoint_spiffe_id: NonEmpty | None = None
    """https_spiffe: who the endpoint is."""
    bootstrap: FilePath | None = None
    """https_spiffe: PEM file of the authorities of its trust domain, to begin with."""
    workload_api: Annotated[Boolean, SkipJsonSchema()] = Field(default=False, validation_alias=_WORKLOAD, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        return {_WORKLOAD: True} if data == "workload_api" else {"file": data}

    def short(self) -> str | Path | None:
        return "workload_api" if self.workload_api else self.file


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


class Ocsp(Node):
    """Asking about client certificates (OCSP, RFC 6960): the responder's URL alone, or more."""

    responder: NonEmpty | None = None
    """Whom to ask; default: the responder that the certificate names, by https and at a public address."""
    hosts: tuple[NonEmpty, ...] = ()
    """Those that a certificate may name; they may be private."""
    ca: FilePath | None = None
    """PEM file of the private authority of the responder's web server."""
    refresh: Annotated[Duration, Field(ge=1)] = 300.0
    """After which an answer is asked for anew."""
    max_stale: Annotated[Duration, Field(ge=1)] = 86400.0
    """How long it counts while no other can be had, never past its nextUpdate."""
    on_failure: Literal["deny", "allow"] = "deny"
    """What becomes of a certificate while no answer about it that counts is at hand."""
    check: Literal["chain", "leaf"] = "chain"
    """Whether certificates between leaf and root are asked about too."""
    nonce: Literal["optional", "required"] = "optional"
    """Whether an answer that leaves out our nonce counts; one with another never does."""

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, data: Any) -> Any:
        return {"responder": data} if isinstance(data, str) else data


class TrustDomain(Named):
    """One SPIFFE trust domain; its name is the domain's."""

    bundle: Bundle
    """Its authorities."""
    crl: RevocationLists | None = None
    """Its revocation lists."""
    ocsp: Ocsp | None = None
    """Whether its clients' certificates are asked about."""


class ClientAuthority(Named):
    """Who may vouch for which DNS names, in certificates without a SPIFFE id; the identity is `dns:NAME`."""

    bundle: FilePath
    """PEM file of its authorities."""
    crl: RevocationLists | None = None
    """Its revocation lists."""
    ocsp: Ocsp | None = None
    """Whether its certificates are asked about."""
    names: Some[NonEmpty]
    """Exact, or `*.suffix`."""
