"""A token issuer without a network: keys, key sets, and tokens, right ones and hostile ones.

Rule: a token is right unless the caller changes it; each change is one argument.
Invariant: header and payload are signed as the bytes that they are, so a test can state any header at all.
"""

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey, KeySet, KeySetSerialization, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

_MADE_BY: dict[str, Callable[[], RSAKey | ECKey | OKPKey]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), lambda: RSAKey.generate_key(2048)),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "ES512": lambda: ECKey.generate_key("P-521"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
}


class SigningKey:
    """One key of an issuer, for one algorithm (RFC 7518 section 3.1). `kid` defaults to the thumbprint (RFC 7638)."""

    def __init__(self, algorithm: str = "ES256", *, kid: str | None = None) -> None:
        self.algorithm = algorithm
        self.jwk = _MADE_BY[algorithm]()
        self.kid = kid or self.jwk.thumbprint()

    def public(self) -> dict[str, Any]:
        """The public half as an entry of a key set, with kid, alg and use."""
        return {**self.jwk.as_dict(private=False), "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, message: bytes) -> bytes:
        """The raw signature (JWS form) over the message."""
        algorithm = JWSRegistry.algorithms[self.algorithm]
        return algorithm.sign(message, KeySet([self.jwk]).keys[0])


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can log in."""

    subject: str
    scopes: frozenset[str]
    claims: Mapping[str, Any]


class Issuer:
    """Mints tokens under one URL. `keys[0]` signs; every key in `keys` is published; both lists may be changed."""

    def __init__(
        self,
        url: str = "https://issuer.example",
        *,
        audience: str | Sequence[str] = "api-service",
        algorithm: str = "ES256",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.audience = audience
        self.keys = [SigningKey(algorithm)]
        self.clock = clock

    def rotate(self, algorithm: str | None = None, *, keep: bool = True) -> SigningKey:
        """Sign with a new key from now on; the old ones stay published unless `keep` is False."""
        key = SigningKey(algorithm or self.keys[0].algorithm)
        self.keys = [key, *(self.keys if keep else [])]
        return key

    def jwks(self) -> KeySetSerialization:
        """The published key set (RFC 7517)."""
        return {"keys": [key.public() for key in self.keys]}

    def token(
        self,
        sub: str | None = "alice",
        *,
        key: SigningKey | None = None,
        lifetime: float = 300,
        headers: Mapping[str, Any] | None = None,
        raw_header: bytes | None = None,
        raw_payload: bytes | None = None,
        sign: Callable[[bytes], bytes] | None = None,
        **claims: Any,
    ) -> str:
        """An access token (RFC 9068), good for `lifetime` seconds.

        `claims` and `headers` replace the defaults, None removes one. `raw_header` and `raw_payload` are taken as the
        bytes that they are; `sign` makes the signature from the signing input (`lambda _: b""` for none).
        """
        signer = key or self.keys[0]
        now = self.clock()
        header = {"typ": "at+jwt", "alg": signer.algorithm, "kid": signer.kid, **(headers or {})}
        payload = {
            "iss": self.url,
            "sub": sub,
            "aud": self.audience,
            "iat": int(now),
            "exp": int(now + lifetime),
            "jti": secrets.token_urlsafe(12),
            **claims,
        }
        return compact(
            _json(header) if raw_header is None else raw_header,
            _json(payload) if raw_payload is None else raw_payload,
            sign or signer.sign,
        )


def compact(header: bytes, payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    """A JWS in compact form (RFC 7515 section 7.1) over exactly these bytes."""
    signing_input = f"{base64url(header)}.{base64url(payload)}"
    return f"{signing_input}.{base64url(sign(signing_input.encode()))}"


def tampered(token: str, **claims: Any) -> str:
    """The same token with other claims under its old signature."""
    header, payload, signature = token.split(".")
    body = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{header}.{base64url(_json({**body, **claims}))}.{signature}"


def base64url(data: bytes) -> str:
    """Base64 for URLs, without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(members: Mapping[str, Any]) -> bytes:
    """Members that are None are left out."""
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()
