"""How long a verdict stands, and what is said of one that does not."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.kernel.x509.chain import judge_chain
from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import read_leaf
from gateway.kernel.x509.trust import make_authority
from gateway.model.reason import Reason
from gateway.testing.ca import Authority

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def test_M16_a_verdict_ends_with_the_first_certificate_of_the_chain() -> None:
    root = Authority("a", not_after=NOW + 5 * HOUR)
    below = root.intermediate(not_before=NOW - HOUR, not_after=NOW + 2 * HOUR)
    leaf = below.issue(uri="spiffe://a/b", not_before=NOW - 2 * HOUR, not_after=NOW + 3 * HOUR)
    authority = make_authority("a", root.pem(), None)
    verdict = judge_chain(read_leaf(leaf.der), leaf.ders[1:], authority, NOW.timestamp())
    assert verdict.ends == verdict.not_after == (NOW + 2 * HOUR).timestamp()
    assert verdict.begins == root.certificate.not_valid_before_utc.timestamp()


def test_M17_a_revocation_list_may_end_it_sooner() -> None:
    root = Authority("a")
    leaf = root.issue(uri="spiffe://a/b")
    authority = make_authority("a", root.pem(), root.crl(next_update=NOW + HOUR))
    verdict = judge_chain(read_leaf(leaf.der), (), authority, NOW.timestamp())
    assert verdict.ends == (NOW + HOUR).timestamp()
    assert verdict.not_after == leaf.cert.not_valid_after_utc.timestamp()


def test_an_intermediate_in_the_bundle_is_an_anchor() -> None:
    below = Authority("a").intermediate()
    leaf = below.issue(uri="spiffe://a/b")
    judge_chain(read_leaf(leaf.der), (), make_authority("a", below.pem(), None), NOW.timestamp())


@pytest.mark.parametrize(
    ("root_ends", "leaf_ends", "expected"),
    [
        pytest.param(HOUR, -HOUR, Reason.CERTIFICATE_EXPIRED, id="M16-leaf-older-than-its-root"),
        pytest.param(-HOUR, HOUR, Reason.CERTIFICATE_EXPIRED, id="M16-expired-root"),
    ],
)
def test_expiry_is_named_whatever_expired(root_ends: timedelta, leaf_ends: timedelta, expected: Reason) -> None:
    root = Authority("a", not_before=NOW - 9 * HOUR, not_after=NOW + root_ends)
    leaf = root.issue(uri="spiffe://a/b", not_before=NOW - 3 * HOUR, not_after=NOW + leaf_ends)
    with pytest.raises(CertificateFault) as refused:
        judge_chain(read_leaf(leaf.der), (), make_authority("a", root.pem(), None), NOW.timestamp())
    assert refused.value.reason is expected


def test_M6_a_chain_that_is_too_long_is_refused() -> None:
    authority = root = Authority("a")
    for _ in range(8):
        authority = authority.intermediate(path_length=None)
    leaf = authority.issue(uri="spiffe://a/b")
    with pytest.raises(CertificateFault):
        judge_chain(read_leaf(leaf.der), leaf.ders[1:], make_authority("a", root.pem(), None), NOW.timestamp())


def test_M6_path_length_is_kept() -> None:
    root = Authority("a", path_length=0)
    leaf = root.intermediate().issue(uri="spiffe://a/b")
    with pytest.raises(CertificateFault):
        judge_chain(read_leaf(leaf.der), leaf.ders[1:], make_authority("a", root.pem(), None), NOW.timestamp())
    judge_chain(
        read_leaf(root.issue(uri="spiffe://a/b").der), (), make_authority("a", root.pem(), None), NOW.timestamp()
    )


def test_M10_an_identity_is_never_rewritten_to_another_domain() -> None:
    """Two domains under one root stay two: there are no aliases."""
    root = Authority("a")
    leaf = read_leaf(root.issue(uri="spiffe://b/x").der)
    assert leaf.uris == ("spiffe://b/x",)
    judge_chain(leaf, (), make_authority("b", root.pem(), None), NOW.timestamp())
