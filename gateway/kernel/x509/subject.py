"""Who a certificate claims to be, for records of those that were refused.

Rule: nothing here is believed: the text names a stranger to an operator, and decides nothing.
Invariant: never raises, whatever the bytes; the text is bounded.
"""

from cryptography import x509

from gateway.kernel.x509.leaf import UNREADABLE

_LONGEST = 256  # characters


def claimed_subject(der: bytes) -> str:
    """The first URI or DNS name of a certificate, else its subject (RFC 4514), else that it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        return _name(certificate)[:_LONGEST]
    except UNREADABLE:
        return "a certificate that cannot be read"


def _name(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        names = None
    if names is not None:
        for kind in (x509.UniformResourceIdentifier, x509.DNSName):
            found = names.get_values_for_type(kind)
            if found:
                return str(found[0])
    return certificate.subject.rfc4514_string() or "a certificate without a name"
