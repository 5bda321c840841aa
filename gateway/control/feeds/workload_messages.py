"""The two answers of the SPIFFE Workload API that are read here, out of protobuf's wire format.

Rule: fields that are not known are passed over (Protocol Buffers, "Unknown fields"); what is cut off is refused.
Invariant: what is read holds bytes as they were sent: nothing here judges a certificate.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT = 10  # bytes


@dataclass(frozen=True, slots=True)
class SvidMessage:
    """X509SVID."""

    spiffe_id: str
    certificates: bytes  # DER, leaf first, one behind the other
    key: bytes = field(repr=False)  # PKCS #8, DER
    bundle: bytes  # DER, one behind the other
    hint: str


def read_svids(message: bytes) -> list[SvidMessage]:
    """X509SVIDResponse. Raises ValueError."""
    return [_svid(value) for number, value in _fields(message) if number == 1]


def read_bundles(message: bytes) -> Mapping[str, bytes]:
    """X509BundlesResponse: by trust domain, as it is written there. Raises ValueError."""
    found: dict[str, bytes] = {}
    for number, value in _fields(message):
        if number == 2:
            entry = dict(_fields(value))
            found[_text(entry.get(1, b""))] = entry.get(2, b"")
    return found


def _svid(message: bytes) -> SvidMessage:
    held = dict(_fields(message))
    return SvidMessage(
        _text(held.get(1, b"")), held.get(2, b""), held.get(3, b""), held.get(4, b""), _text(held.get(5, b""))
    )


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("a text of the answer is no UTF-8") from None


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and value of each field that holds bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("the answer is cut off")
            yield number, message[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in _FIXED and at + _FIXED[kind] <= len(message):
            at += _FIXED[kind]
        else:
            raise ValueError("the answer is no message of protobuf")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in base 128, and where it ends."""
    value = 0
    for place in range(_MAX_VARINT):
        if at + place >= len(message):
            raise ValueError("the answer is cut off")
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return value, at + place + 1
    raise ValueError("the answer is no message of protobuf")
