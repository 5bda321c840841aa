"""Keys in PEM: one that signs JWTs, with the one algorithm that it signs with (RFC 7518 section 3.1); one that proves.

Rule: the key's own kind says the algorithm; nobody chooses another.
Invariant: no message holds a byte of a key.
"""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
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


def read_ed25519_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 private key of a PEM file. Raises OSError, ValueError."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        hint = "make one with `openssl genpkey -algorithm ed25519`"
        raise ValueError(f"{path} holds no Ed25519 private key without a password: {hint}")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The Ed25519 public key of a PEM file. Raises OSError, ValueError."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path} holds no Ed25519 public key in PEM: make one with `openssl pkey -in KEY -pubout`")
    return key
