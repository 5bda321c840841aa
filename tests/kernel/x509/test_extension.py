"""What an extension of a certificate's issuer holds."""

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from gateway.kernel.x509.extension import read_extension
from gateway.testing.ca import Authority

OID = "1.3.6.1.4.1.32473.1"
AUTHORITY = Authority("cluster.local")


def certificate(octets: bytes, oid: str = OID) -> bytes:
    extension = x509.UnrecognizedExtension(ObjectIdentifier(oid), octets)
    return AUTHORITY.issue(uri="spiffe://cluster.local/a", extensions=[(extension, False)]).ders[0]


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        pytest.param(b'{"a": 1}', b'{"a": 1}', id="as-it-is"),
        pytest.param(b"\x0c\x02{}", b"{}", id="utf8string"),
        pytest.param(b"\x04\x02{}", b"{}", id="octet-string"),
        pytest.param(b"\x0c\x81\x82" + b"x" * 130, b"x" * 130, id="long-form"),
        pytest.param(b"\x0c\x03{}", b"\x0c\x03{}", id="too-short"),
        pytest.param(b"\x0c\x01{}", b"\x0c\x01{}", id="more-behind-it"),
        pytest.param(b"\x13\x02{}", b"\x13\x02{}", id="another-type"),
        pytest.param(b"\x0c", b"\x0c", id="a-tag-alone"),
        pytest.param(b"\x0c\x84\xff", b"\x0c\x84\xff", id="half-a-length"),
    ],
)
def test_one_string_is_taken_out_and_all_else_left_as_it_is(octets: bytes, text: bytes) -> None:
    found = read_extension(certificate(octets), OID)
    assert found is not None
    assert found[0] == text


def test_without_it_there_is_nothing() -> None:
    assert read_extension(certificate(b"{}", "1.3.6.1.4.1.32473.2"), OID) is None
    assert read_extension(b"no certificate", OID) is None
    assert read_extension(certificate(b"{}"), "2.5.29.17") is None  # a standard one says something else
