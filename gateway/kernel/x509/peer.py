"""A backend's certificate inside the TLS handshake, and our own certificates' keys.

Rule: the handshake has judged the chain against the one bundle of the expected identity; here the identity is judged.
Invariant: an expected id is met exactly, never "any of its trust domain".
"""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import UNREADABLE, Purpose, check_usage, read_leaf, spiffe_id
from gateway.kernel.x509.trust import parse_certificates
from gateway.model.reason import Reason


def verify_server_spiffe_id(der: bytes, expected: str) -> None:
    """Raises CertificateFault unless the leaf is a valid server SVID of exactly the id `expected`."""
    leaf = read_leaf(der)
    identity = spiffe_id(leaf)
    if identity is None:
        raise CertificateFault(Reason.SPIFFE_ID_INVALID, "the certificate has no SPIFFE id")
    if identity.id != expected:
        raise CertificateFault(Reason.SPIFFE_ID_INVALID, "the certificate bears another SPIFFE id")
    check_usage(leaf, Purpose.SERVER)


def verify_server_dns_name(der: bytes, expected: str) -> None:
    """Raises CertificateFault unless a DNS name of the leaf is `expected` (RFC 9525 section 6.3).

    A wildcard stands for one whole leftmost label; the common name is never looked at.
    """
    leaf = read_leaf(der)
    wanted = expected.lower().removesuffix(".")
    parent = wanted.partition(".")[2]
    for name in map(str.lower, leaf.dns_names):
        if name == wanted or (parent and "." in parent and name == f"*.{parent}"):
            check_usage(leaf, Purpose.SERVER)
            return
    raise CertificateFault(Reason.CERTIFICATE_UNTRUSTED, "the certificate bears another DNS name")


def check_key_pair(certificate: Path, key: Path) -> None:
    """Raises OSError for what cannot be read, ValueError unless the key is that of the file's first certificate."""
    leaf = parse_certificates(certificate.read_bytes())[0]
    try:
        private = load_pem_private_key(key.read_bytes(), None)
        held, wanted = private.public_key(), leaf.public_key()
        fits = held.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == wanted.public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    except UNREADABLE:
        raise ValueError(f"{key} holds no private key in PEM without a password") from None
    if not fits:
        raise ValueError(f"{key} is not the key of {certificate}")


def readable_by_others(key: Path) -> bool:
    """True when a private key's file mode lets other users of the machine read it. Raises OSError."""
    return key.stat().st_mode & 0o004 != 0
