"""Ed25519 keys in PEM: what signs grants, and what they are verified by.

Invariant: no message holds a byte of a key.
"""

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file. Raises OSError, ValueError."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        hint = "make one with `openssl genpkey -algorithm ed25519`"
        raise ValueError(f"{path} holds no Ed25519 private key without a password: {hint}")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key of a PEM file. Raises OSError, ValueError."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path} holds no Ed25519 public key in PEM: make one with `openssl pkey -in KEY -pubout`")
    return key


def verifies(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    """True when `signature` is the key's over `data`."""
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True
