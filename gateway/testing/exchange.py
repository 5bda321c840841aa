"""Token exchange (RFC 8693) of the provider for trying things: one of its own tokens for one with another audience.

Rule: the subject token is verified as a resource server would; who may ask for which audience is registered.
Invariant: the new token never outlives the old one.
"""

from collections.abc import Container, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.testing.issuer import Issuer

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def exchanged(
    issuer: Issuer, client: str, audiences: Container[str], form: Mapping[str, str], lifetime: float
) -> dict[str, Any]:
    """The answer to a request of `client`, which may ask for `audiences`.

    Raises ValueError with an OAuth error code (RFC 8693 section 2.2.2).
    """
    claims = _verified(issuer, form)
    if form.get("audience") not in audiences:
        raise ValueError("invalid_target")
    now = issuer.clock()
    lasting = min(lifetime, claims["exp"] - now)
    scope = form.get("scope", claims.get("scope"))
    if not set((scope or "").split()) <= set(claims.get("scope", "").split()):
        raise ValueError("invalid_scope")
    kept = {name: value for name, value in claims.items() if name not in ("aud", "exp", "iat", "jti", "sub")}
    kept |= {"aud": form["audience"], "client_id": client, "scope": scope, "act": {"sub": client}}
    token = issuer.token(claims["sub"], lifetime=lasting, **kept)
    return {
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": int(lasting),
    }


def _verified(issuer: Issuer, form: Mapping[str, str]) -> dict[str, Any]:
    if form.get("subject_token_type") != ACCESS_TOKEN or form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        raise ValueError("invalid_request")
    keys = KeySet.import_key_set(issuer.jwks())
    try:
        token = jwt.decode(form.get("subject_token", ""), keys, [key.algorithm for key in issuer.keys])
    except (JoseError, ValueError):
        raise ValueError("invalid_request") from None
    if token.claims.get("iss") != issuer.url or not token.claims["exp"] > issuer.clock():
        raise ValueError("invalid_grant")
    return token.claims
