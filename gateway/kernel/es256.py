"""P-256 keys that sign JWTs with ES256 (RFC 7518 section 3.4), and how their public halves are published (RFC 7517).

Rule: a key's name is the digest of its public half (RFC 7638), so that one key has one name wherever it is published.
Invariant: no message holds a byte of a key, and no JWK made here a private member.
"""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

Jwk: TypeAlias = dict[str, str]

_ECDSA = ec.ECDSA(hashes.SHA256())
_HALF = 32  # bytes: of a coordinate, and of each half of a signature
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (FIPS 186-4, D.1.2.3)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


class Es256Key:
    """A private key."""

    __slots__ = ("_private", "jwk", "kid")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        """Raises ValueError for another curve than P-256."""
        self._private = private
        self.jwk = _jwk(private.public_key())
        self.kid = self.jwk["kid"]

    def __repr__(self) -> str:
        return f"Es256Key({self.kid})"

    def sign(self, message: bytes) -> bytes:
        """The signature as JWS writes it: R and S, 32 bytes each (RFC 7518 section 3.4)."""
        r, s = decode_dss_signature(self._private.sign(message, _ECDSA))
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")


def read_es256(pem: bytes) -> Es256Key:
    """A private key in PEM. Raises ValueError."""
    try:
        key = load_pem_private_key(pem, None)
    except _UNREADABLE:
        raise ValueError("holds no private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("holds another kind of key: a P-256 key signs with ES256")
    return Es256Key(key)


def read_es256_public(pem: bytes) -> Jwk:
    """The public half of a public or private key in PEM, to be published. Raises ValueError."""
    try:
        public = load_pem_public_key(pem)
    except _UNREADABLE:
        return read_es256(pem).jwk
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ValueError("holds another kind of key: a P-256 key signs with ES256")
    return _jwk(public)


def made_of(seed: bytes) -> Es256Key:
    """The one key that this secret of 32 random bytes or more stands for: the same wherever the secret is known."""
    number = int.from_bytes(sha256(b"es256/1" + seed).digest() + sha256(b"es256/2" + seed).digest(), "big")
    return Es256Key(ec.derive_private_key(number % (_ORDER - 1) + 1, ec.SECP256R1()))


def key_set(keys: list[Jwk]) -> bytes:
    """A JWK Set (RFC 7517 section 5), each key once."""
    return json.dumps({"keys": list({key["kid"]: key for key in keys}.values())}, separators=(",", ":")).encode()


def base64url(data: bytes) -> bytes:
    """Without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=")


def _jwk(public: ec.EllipticCurvePublicKey) -> Jwk:
    if not isinstance(public.curve, ec.SECP256R1):
        raise ValueError(f"holds a key of the curve {public.curve.name}: ES256 signs with P-256")
    point = public.public_numbers()
    x, y = (base64url(half.to_bytes(_HALF, "big")).decode() for half in (point.x, point.y))
    kid = base64url(sha256(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.encode()).digest()).decode()
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256"}
