"""Private keys for testing: made, written, and read back.

Rule: what is written holds PKCS #8 PEM without a password, as OpenSSL's own tools write it.
Invariant: a private key touches the disk only in a file that nobody else may read (mode 0600).
"""

import os
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Algorithm: TypeAlias = Literal["p256", "p384", "p521", "rsa1024", "rsa2048", "ed25519"]


def new_key(algorithm: Algorithm = "p256") -> PrivateKey:
    """A fresh private key."""
    match algorithm:
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "p521":
            return ec.generate_private_key(ec.SECP521R1())
        case "rsa1024":
            return rsa.generate_private_key(65537, 1024)  # noqa: S505 - the weak key is the point
        case "rsa2048":
            return rsa.generate_private_key(65537, 2048)
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()


def private_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS #8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: PrivateKey) -> bytes:
    """The public half as SubjectPublicKeyInfo PEM."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def write_private(path: Path, pem: bytes) -> Path:
    """Write a secret so that only its owner may read it, never readable in between. Replaces what is there."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return path


def read_private(path: Path) -> PrivateKey:
    """The key in a PEM file. Raises OSError, ValueError when it holds no key of ours."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise ValueError(f"{path}: not an EC, RSA or Ed25519 key")
    return key
