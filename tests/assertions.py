"""Reading the gateway's assertions as a backend would: with PyJWT and with joserfc, which must agree."""

import json
from typing import Any

import jwt
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet


def read(token: str, key_set: bytes, audience: str, *, now: float | None = None) -> dict[str, Any]:
    """The claims. Raises what either library raises; `now`: not judged by the clock of this machine."""
    keys = json.loads(key_set)
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"]) == ("ES256", "gateway-assertion+jwt")
    (chosen,) = [key for key in keys["keys"] if key["kid"] == header["kid"]]
    options: Any = {"require": ["iss", "sub", "aud", "iat", "exp", "jti"]}
    if now is not None:
        options |= {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, jwt.PyJWK(chosen), algorithms=["ES256"], audience=audience, options=options)
    assert joserfc_jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"]).claims == claims
    if now is not None:
        assert claims["iat"] <= now < claims["exp"]
    return claims
