"""A peer's own certificate, read from its DER.

Rule: identity comes from the subject alternative names in the DER and from nothing else; the common name is for people.
Invariant: a `Leaf` that `check_usage` let through can sign as a peer and can never sign as an authority.
"""

from base64 import urlsafe_b64encode
from enum import Enum
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.spiffe import SpiffeId, parse_leaf_id
from gateway.model.noun import noun
from gateway.model.reason import Reason

UNREADABLE = (  # what cryptography raises while it reads what a stranger made
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_Kind = TypeVar("_Kind", bound=x509.ExtensionType)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_MIN_RSA_BITS = 2048
_DNS_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_MAX_DNS_NAME = 253


class Purpose(Enum):
    """What a leaf is used for: the extended key usage that it must not exclude."""

    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
    SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@noun
class Leaf:
    """What is read of a leaf; names are as in the certificate, unjudged."""

    certificate: x509.Certificate
    fingerprint: str  # SHA-256 of the DER, hex
    thumbprint: str  # SHA-256 of the DER, base64url without padding (RFC 8705 section 3.1)
    uris: tuple[str, ...]
    dns_names: tuple[str, ...]
    subject: str  # RFC 4514
    not_before: float  # seconds since the epoch
    not_after: float  # seconds since the epoch, the last second included (RFC 5280 section 4.1.2.5)


def read_leaf(der: bytes) -> Leaf:
    """Read a leaf. Raises CertificateFault(CERTIFICATE_UNTRUSTED) for what is no certificate of version 3."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _alternative_names(certificate)
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else ()
        dns_names = tuple(names.get_values_for_type(x509.DNSName)) if names else ()
        subject = certificate.subject.rfc4514_string()
        version = certificate.version
    except UNREADABLE as error:
        raise _untrusted(f"the certificate cannot be read ({type(error).__name__})") from None
    if version is not x509.Version.v3:
        raise _untrusted("the certificate is not of version 3")
    digest = sha256(der)
    return Leaf(
        certificate,
        digest.hexdigest(),
        urlsafe_b64encode(digest.digest()).rstrip(b"=").decode(),
        uris,
        dns_names,
        subject,
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def spiffe_id(leaf: Leaf) -> SpiffeId | None:
    """The leaf's SPIFFE id; None when it has no URI name at all.

    A leaf with any URI is taken for an SVID: a second or malformed URI never falls through to another kind of name.
    Raises CertificateFault(SPIFFE_ID_INVALID). Source: X509-SVID sections 2, 3.1 and 5.2.
    """
    if not leaf.uris:
        return None
    if len(leaf.uris) > 1:
        raise CertificateFault(Reason.SPIFFE_ID_INVALID, "the certificate has more than one URI name")
    try:
        return parse_leaf_id(leaf.uris[0])
    except ValueError as error:
        raise CertificateFault(Reason.SPIFFE_ID_INVALID, str(error)) from None


def pem_spiffe_id(pem: bytes) -> SpiffeId | None:
    """The SPIFFE id of the first certificate of a PEM text; None where it is no SVID. Raises ValueError."""
    try:
        return spiffe_id(read_leaf(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)))
    except CertificateFault:
        return None


def plain_dns_names(leaf: Leaf) -> tuple[str, ...]:
    """The leaf's DNS names that can be an identity, in lower case: no wildcards, nothing but letters-digits-hyphens."""
    return tuple(name for name in map(str.lower, leaf.dns_names) if _is_dns_name(name))


def check_usage(leaf: Leaf, purpose: Purpose) -> None:
    """The rules for a peer's own certificate. Raises CertificateFault(CERTIFICATE_UNTRUSTED).

    Source: X509-SVID section 4, RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12, RFC 9325 section 4.
    """
    extensions = leaf.certificate.extensions
    basic = find(extensions, x509.BasicConstraints)
    if basic is not None and basic.value.ca:
        raise _untrusted("an authority's certificate (CA:TRUE) is no peer's")
    usage = find(extensions, x509.KeyUsage)
    if usage is None or not usage.critical:
        raise _untrusted("the certificate has no critical key usage")
    if not usage.value.digital_signature:
        raise _untrusted("the key usage leaves out digitalSignature")
    if usage.value.key_cert_sign or usage.value.crl_sign:
        raise _untrusted("the key usage allows to sign certificates or revocation lists")
    extended = find(extensions, x509.ExtendedKeyUsage)
    if extended is not None and not _allows(extended.value, purpose.value):
        raise _untrusted(f"the extended key usage leaves out {purpose.name.lower()} authentication")
    if leaf.certificate.serial_number <= 0:
        raise _untrusted("the serial number is not positive")
    _check_key(leaf.certificate)


def _check_key(certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except UNREADABLE:
        raise _untrusted("the public key cannot be read") from None
    match key:
        case rsa.RSAPublicKey():
            if key.key_size < _MIN_RSA_BITS:
                raise _untrusted("an RSA key of less than 2048 bits")
        case ec.EllipticCurvePublicKey():
            if key.curve.name not in _CURVES:
                raise _untrusted("an elliptic curve other than P-256, P-384 and P-521")
        case ed25519.Ed25519PublicKey():
            pass
        case _:
            raise _untrusted("a kind of key that is not accepted")


def _allows(usage: x509.ExtendedKeyUsage, wanted: ObjectIdentifier) -> bool:
    return wanted in usage


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    found = find(certificate.extensions, x509.SubjectAlternativeName)
    return found.value if found is not None else None


def find(extensions: x509.Extensions, kind: type[_Kind]) -> x509.Extension[_Kind] | None:
    """The extension of this kind; None where there is none. Raises what of `UNREADABLE` reading it raises."""
    try:
        return extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _is_dns_name(name: str) -> bool:
    return 0 < len(name) <= _MAX_DNS_NAME and all(
        0 < len(label) <= 63 and _DNS_LABEL.issuperset(label) for label in name.split(".")
    )


def _untrusted(detail: str) -> CertificateFault:
    return CertificateFault(Reason.CERTIFICATE_UNTRUSTED, detail)
