"""SPIFFE bundle documents, as an endpoint hands them out."""

import json
from base64 import b64encode
from typing import Any

from gateway.testing.ca import Authority

JWT_KEY = {"kty": "EC", "use": "jwt-svid", "kid": "a", "crv": "P-256", "x": "AA", "y": "AA"}


def key(root: Authority) -> dict[str, Any]:
    return {"kty": "EC", "use": "x509-svid", "x5c": [b64encode(root.der).decode()]}


def bundle(*roots: Authority, sequence: int | None = 1, hint: int | None = None, **more: Any) -> bytes:
    held: dict[str, Any] = {"keys": [*map(key, roots), JWT_KEY]}
    if sequence is not None:
        held["spiffe_sequence"] = sequence
    if hint is not None:
        held["spiffe_refresh_hint"] = hint
    return json.dumps({**held, **more}).encode()
