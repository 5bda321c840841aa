"""Bundles from files."""

import pytest

from gateway.kernel.x509.trust import make_authority, parse_certificates
from gateway.testing.ca import Authority


def test_a_bundle_may_hold_several_roots() -> None:
    old, new = Authority("cluster.local"), Authority("cluster.local")
    authority = make_authority("cluster.local", b"# the old one\n" + old.pem() + new.pem(), None)
    assert [root.subject for root in authority.anchors] == [old.name, new.name]
    assert repr(authority) == "Authority('cluster.local', 2 roots, without revocation lists)"


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        pytest.param(b"", "no PEM certificate", id="M18-empty"),
        pytest.param(b"not a certificate", "no PEM certificate", id="M18-something-else"),
        pytest.param(Authority("a").pem()[:200], "whole", id="M18-half-written"),
        pytest.param(Authority("a").pem() + Authority("a").pem()[:200], "whole", id="M18-half-of-the-second"),
    ],
)
def test_a_bundle_that_cannot_be_read_says_why(pem: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_authority("cluster.local", pem, None)


def test_equal_files_have_equal_digests() -> None:
    authority = Authority("cluster.local")
    lists = authority.crl()
    digests = {
        make_authority("cluster.local", authority.pem(), held).digest
        for held in (None, lists, lists, authority.crl([1]))
    }
    assert len(digests) == 3


def test_certificates_come_in_order() -> None:
    first, second = Authority("a"), Authority("b")
    assert [c.subject for c in parse_certificates(first.pem() + second.pem())] == [first.name, second.name]
