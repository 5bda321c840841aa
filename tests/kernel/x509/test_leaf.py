"""Reading a leaf, as the gateway and as its backends' client."""

import pytest

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import Purpose, check_usage, plain_dns_names, read_leaf, spiffe_id
from gateway.testing.ca import CLIENT_AUTH, SERVER_AUTH, Authority

AUTHORITY = Authority("cluster.local")


def test_M1_names_are_as_in_the_der_control_bytes_too() -> None:
    uri = "spiffe://cluster.local/a\0\r\n"
    leaf = read_leaf(AUTHORITY.issue(uris=[uri, "https://x.example/"], dns=["a\0b"], common_name="cn").der)
    assert leaf.uris == (uri, "https://x.example/")
    assert leaf.dns_names == ("a\0b",)
    assert plain_dns_names(leaf) == ()
    assert "CN=cn" in leaf.subject


@pytest.mark.parametrize(
    ("purpose", "usages", "fits"),
    [
        (Purpose.CLIENT, [CLIENT_AUTH], True),
        (Purpose.CLIENT, [SERVER_AUTH], False),
        (Purpose.SERVER, [SERVER_AUTH], True),
        (Purpose.SERVER, [CLIENT_AUTH], False),
        (Purpose.SERVER, None, True),
    ],
)
def test_M5_a_leaf_is_for_what_its_usage_says(purpose: Purpose, usages: list[object] | None, fits: bool) -> None:
    leaf = read_leaf(AUTHORITY.issue(uri="spiffe://cluster.local/a", extended_key_usage=usages).der)  # type: ignore[arg-type]
    if fits:
        check_usage(leaf, purpose)
        return
    with pytest.raises(CertificateFault, match=purpose.name.lower()):
        check_usage(leaf, purpose)


def test_M8_without_a_uri_there_is_no_spiffe_id() -> None:
    assert spiffe_id(read_leaf(AUTHORITY.issue(dns=["a.example"], common_name="spiffe://x/y").der)) is None


def test_M9_only_plain_dns_names_can_be_identities() -> None:
    names = ["A.Example", "*.example", "-", "a..b", "x" * 64 + ".example", "under_score.example"]
    leaf = read_leaf(AUTHORITY.issue(dns=names).der)
    assert plain_dns_names(leaf) == ("a.example", "-", "under_score.example")


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"\x30\x82\xff\xff", AUTHORITY.der[:-1], AUTHORITY.der + b"\0"])
def test_M1_what_is_no_certificate_is_a_fault(der: bytes) -> None:
    with pytest.raises(CertificateFault, match="cannot be read"):
        read_leaf(der)
