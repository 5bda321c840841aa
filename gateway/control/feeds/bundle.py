"""The authorities of a trust domain as SPIFFE hands them on: bundle documents (JSON), and certificates in DER.

Rule: what is meant for X.509 is read whole or refused whole; what is meant for something else is passed over.
Invariant: no authorities at all is an answer of its own: everything that they signed is revoked.
"""

from base64 import b64decode
from collections.abc import Mapping

from cryptography import x509

from gateway.kernel.strict import NotStrict, parse_object
from gateway.kernel.x509.leaf import UNREADABLE
from gateway.model.json import JSON
from gateway.model.noun import noun

_MAX_KEYS = 1000
_SEQUENCE = 0x30  # the first byte of a certificate in DER


@noun
class BundleDocument:
    """A SPIFFE bundle (SPIFFE Trust Domain and Bundle, section 4)."""

    anchors: tuple[x509.Certificate, ...]
    sequence: int | None  # grows with each change; None where the document does not say
    refresh_hint: float | None  # seconds


def parse_bundle(document: bytes) -> BundleDocument:
    """A JWK Set with SPIFFE's members. Raises ValueError."""
    try:
        held = parse_object(document)
    except NotStrict as error:
        raise ValueError(f"the bundle is {error}") from None
    keys = held.get("keys")
    if not isinstance(keys, list):
        raise ValueError("the bundle has no keys")
    if len(keys) > _MAX_KEYS:
        raise ValueError(f"the bundle has more than {_MAX_KEYS} keys")
    anchors = tuple(_anchor(key.get("x5c")) for key in keys if isinstance(key, dict) and key.get("use") == "x509-svid")
    return BundleDocument(anchors, _number(held, "spiffe_sequence"), _number(held, "spiffe_refresh_hint"))


def der_certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    """Certificates in DER, one behind the other, as the Workload API gives them. Raises ValueError."""
    found = []
    rest = memoryview(data)
    while rest:
        size = _size(rest)
        try:
            found.append(x509.load_der_x509_certificate(bytes(rest[:size])))
        except UNREADABLE:
            raise ValueError("a certificate cannot be read") from None
        rest = rest[size:]
    return tuple(found)


def _anchor(chain: object) -> x509.Certificate:
    """The one certificate of `x5c` (section 4.2.2)."""
    if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
        raise ValueError("an X.509 authority of the bundle is not exactly one certificate")
    try:
        return x509.load_der_x509_certificate(b64decode(chain[0], validate=True))
    except UNREADABLE:
        raise ValueError("an X.509 authority of the bundle cannot be read") from None


def _number(held: Mapping[str, JSON], name: str) -> int | None:
    """A number of the document, never negative; None where it has none. Raises ValueError."""
    value = held.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"the bundle's {name} is no number")
    return value


def _size(data: memoryview) -> int:
    """How long the DER element at the start of `data` is (X.690 section 8.1.3). Raises ValueError."""
    if len(data) < 2 or data[0] != _SEQUENCE:
        raise ValueError("a certificate cannot be read")
    length, head = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or len(data) < head + count:
            raise ValueError("a certificate cannot be read")
        length, head = int.from_bytes(data[head : head + count], "big"), head + count
    if len(data) < head + length:
        raise ValueError("a certificate is cut off")
    return head + length
