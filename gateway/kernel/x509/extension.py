"""What an extension of a certificate holds that is no standard one: text of its issuer's.

Rule: the octets are taken as they are, or out of one DER string (UTF8String, OCTET STRING) that fills the extension.
"""

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import UNREADABLE, read_leaf

_STRINGS = (0x04, 0x0C)  # OCTET STRING, UTF8String (ITU-T X.690 section 8)


def read_extension(der: bytes, oid: str) -> tuple[bytes, float] | None:
    """The text of an extension, and since when the certificate is valid (seconds since the epoch); None without it."""
    try:
        leaf = read_leaf(der)
        held = leaf.certificate.extensions.get_extension_for_oid(ObjectIdentifier(oid)).value
    except (CertificateFault, x509.ExtensionNotFound, *UNREADABLE):
        return None
    if not isinstance(held, x509.UnrecognizedExtension):
        return None
    return _string(held.value), leaf.not_before


def _string(octets: bytes) -> bytes:
    """The content of a DER string, else the octets themselves."""
    if len(octets) < 2 or octets[0] not in _STRINGS:
        return octets
    length, begin = octets[1], 2
    if length > 0x80:
        begin += length - 0x80
        length = int.from_bytes(octets[2:begin])
    return octets[begin:] if len(octets) - begin == length else octets
