"""A key in PEM that signs JWTs, with the one algorithm that it signs with (RFC 7518 section 3.1).

Rule: the key's own kind says the algorithm; nobody chooses another.
Invariant: no message holds a byte of a key.
"""

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

_BY_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


def read_signing_key(pem: bytes) -> tuple[RSAKey | ECKey, str]:
    """The key and its algorithm. Raises ValueError."""
    for kind in (ECKey, RSAKey):
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
        algorithm = _BY_CURVE.get(str(key.get("crv"))) if isinstance(key, ECKey) else "RS256"
        if key.is_private and algorithm is not None:
            return key, algorithm
    raise ValueError("holds no RSA or EC private key in PEM without a password")
