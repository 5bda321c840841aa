"""A client that holds a key, and its DPoP proofs (RFC 9449), right ones and hostile ones.

Rule: a proof is right unless the caller changes it; each change is one argument, None removes a member.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from gateway.testing.issuer import SigningKey, base64url, compact


class Holder:
    """Holds one key."""

    def __init__(self, algorithm: str = "ES256", *, clock: Callable[[], float] = time.time) -> None:
        self.key = SigningKey(algorithm)
        self.clock = clock

    @property
    def thumbprint(self) -> str:
        """Of the public key (RFC 7638): what `cnf.jkt` of a token names."""
        return self.key.jwk.thumbprint()

    @property
    def public(self) -> dict[str, Any]:
        """The public key, as a proof's header holds it."""
        return {name: value for name, value in self.key.jwk.as_dict(private=False).items() if name != "kid"}

    def proof(
        self,
        method: str,
        url: str,
        token: str | None = None,
        *,
        headers: Mapping[str, Any] | None = None,
        sign: Callable[[bytes], bytes] | None = None,
        **claims: Any,
    ) -> str:
        """A proof for one request; with `token` it holds its hash (`ath`)."""
        header = {"typ": "dpop+jwt", "alg": self.key.algorithm, "jwk": self.public, **(headers or {})}
        payload: dict[str, Any] = {
            "htm": method,
            "htu": url,
            "iat": int(self.clock()),
            "jti": secrets.token_urlsafe(12),
        }
        if token is not None:
            payload["ath"] = base64url(sha256(token.encode()).digest())
        return compact(_json(header), _json({**payload, **claims}), sign or self.key.sign)


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()
