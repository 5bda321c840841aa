"""Our own certificates and their keys, as files.

Rule: a key is used only with the certificate whose public key it is.
Invariant: no message holds a byte of a key.
"""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.kernel.x509.leaf import UNREADABLE
from gateway.kernel.x509.trust import parse_certificates


def check_key_pair(certificate: Path, key: Path) -> None:
    """Raises OSError for what cannot be read, ValueError unless the key is that of the file's first certificate."""
    leaf = parse_certificates(certificate.read_bytes())[0]
    try:
        held, wanted = load_pem_private_key(key.read_bytes(), None).public_key(), leaf.public_key()
        spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        fits = held.public_bytes(*spki) == wanted.public_bytes(*spki)
    except UNREADABLE:
        raise ValueError(f"{key} holds no private key in PEM without a password") from None
    if not fits:
        raise ValueError(f"{key} is not the key of {certificate}")
