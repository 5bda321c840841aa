"""Whose tokens are believed: `issuers`.

An issuer is the exact `iss` of its tokens, and always has audiences.
Algorithms are asymmetric and listed; the token's header only picks among them.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from gateway.config.schema.base import Named, Node
from gateway.config.schema.clients import OAuthClient
from gateway.config.schema.scalars import Boolean, Duration, FilePath, NonEmpty, Some

Algorithm: TypeAlias = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
DEFAULT_ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")


class Jwks(Node):
    """A file of keys (`jwks: FILE`), or the pace at which fetched ones are kept (`jwks: {refresh, max_stale}`)."""

    file: FilePath | None = None
    """Watched. Without one the keys are fetched."""
    refresh: Annotated[Duration, Field(ge=1)] = 300.0
    max_stale: Annotated[Duration, Field(ge=1)] = 86400.0
    """How long the last good keys are used when no new ones can be had."""

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, data: Any) -> Any:
        if isinstance(data, str) and "://" in data:
            raise ValueError("jwks names a file: a URL stands under jwks_uri")
        return {"file": data} if isinstance(data, str) else data


class Introspection(OAuthClient):
    """Where its opaque tokens are asked about (RFC 7662), and what proves the gateway to it."""

    all: Boolean = False
    """Whether its JWTs, which verify by its keys, are asked about too."""
    cache: Annotated[Duration, Field(ge=0, le=300)] = 10.0
    """How long an answer counts, never past `exp`; 0s: not at all."""


class Binding(Node):
    """Which proofs of possession are asked of a token."""

    dpop: Literal["off", "optional", "required"] = "optional"
    """RFC 9449: `optional` holds bound tokens to a proof of their key, `required` refuses unbound ones."""
    mtls: Literal["off", "optional", "required"] = "optional"
    """RFC 8705: `optional` holds bound tokens to their certificate, `required` refuses unbound ones."""


class BackchannelLogout(Node):
    """Where the provider says that somebody logged out: POST /.well-known/gateway/logout/NAME."""

    client_id: NonEmpty
    """The `aud` of its logout tokens."""


class SharedSignals(Node):
    """Where the provider pushes security events (CAEP, RFC 8935): POST /.well-known/gateway/signals/NAME."""

    audience: NonEmpty
    """The `aud` of its security event tokens."""


class Issuer(Named):
    """One issuer of bearer tokens."""

    issuer: NonEmpty
    """The `iss` claim, compared byte by byte, and where discovery starts."""
    audiences: Some[NonEmpty]
    """Values of `aud` of which one is wanted; ["*"] says any."""
    jwks_uri: NonEmpty | None = None
    """Where its keys are; default: discovery."""
    jwks: Jwks = Field(default_factory=Jwks)
    ca: FilePath | None = None
    """PEM file of the private authority of the provider's own certificate."""
    algorithms: Some[Algorithm] = DEFAULT_ALGORITHMS
    clock_skew: Annotated[Duration, Field(ge=0, le=300)] = 60.0
    space_delimited_claims: tuple[NonEmpty, ...] = ("scope", "permission")
    token_type: Literal["any", "at+jwt"] = "any"
    binding: Binding = Field(default_factory=Binding)
    introspection: Introspection | None = None
    """Opaque tokens; of one issuer at most."""
    dpop_age: Annotated[Duration, Field(ge=1, le=300)] = 60.0
    """How long a DPoP proof is good, by its `iat`."""
    dpop_nonce: Literal["off", "on"] = "off"
    """Whether a DPoP proof has to hold a nonce of the gateway's."""
    backchannel_logout: BackchannelLogout | None = None
    """OpenID Connect Back-Channel Logout: ends the tokens of a session or subject."""
    shared_signals: SharedSignals | None = None
    """session-revoked, credential-change and device-compliance-change end the tokens of whom they are about."""
    mode: Literal["enforce", "shadow"] = "enforce"
    """In shadow its tokens are judged, counted and recorded, and count as not sent."""

    @property
    def revocable(self) -> bool:
        """Whether it may end tokens before their time."""
        return self.backchannel_logout is not None or self.shared_signals is not None
