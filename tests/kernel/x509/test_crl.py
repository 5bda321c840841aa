"""Revocation lists as files hold them."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway.kernel.x509.crl import ListRules, Revocations, parse_lists, signed_by
from gateway.kernel.x509.fault import CertificateFault
from gateway.model.reason import Reason
from gateway.testing.ca import Authority

ROOT, OTHER = Authority("a"), Authority("b")
NOW = time.time()
HOUR = timedelta(hours=1)


def test_a_file_may_hold_several_lists_with_text_between() -> None:
    held = parse_lists(b"# ours\n" + ROOT.crl([5]) + b"\n# theirs\n" + OTHER.crl())
    assert [one.issuer for one in held] == [ROOT.name, OTHER.name]
    assert held[0].serials == {5}
    assert signed_by(held[0], ROOT.certificate)
    assert not signed_by(held[0], OTHER.certificate)


def test_M17_the_newest_list_of_an_issuer_decides() -> None:
    leaf = ROOT.issue(uri="spiffe://a/b")
    earlier = datetime.now(UTC) - 2 * HOUR
    old, new = ROOT.crl([leaf], last_update=earlier), ROOT.crl(number=2)
    Revocations(parse_lists(old + new)).check(leaf.cert, ROOT.certificate, NOW)
    with pytest.raises(CertificateFault):
        Revocations(parse_lists(new + ROOT.crl([leaf]))).check(leaf.cert, ROOT.certificate, NOW + 1e9)


def test_M17_a_key_that_may_not_sign_lists_signs_none() -> None:
    unable = Authority("a", key_usage=["key_cert_sign"])
    (held,) = parse_lists(unable.crl())
    assert not signed_by(held, unable.certificate)


def test_M17_a_critical_extension_of_an_entry_refuses_the_list() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    now = datetime.now(UTC)
    entry = x509.RevokedCertificateBuilder().serial_number(5).revocation_date(now).add_extension(strange, critical=True)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ROOT.name)
        .last_update(now)
        .next_update(now + HOUR)
        .add_revoked_certificate(entry.build())
    )
    pem = builder.sign(ROOT.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(ValueError, match="an entry"):
        parse_lists(pem)


@pytest.mark.parametrize("cut", [30, 100, 300, -30])
def test_M18_a_list_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="not a certificate revocation list"):
        parse_lists(ROOT.crl([1, 2, 3])[:cut])


STALE = ROOT.crl([5], next_update=datetime.now(UTC) - timedelta(minutes=5))
LEAF = ROOT.issue(uri="spiffe://a/b").cert


@pytest.mark.parametrize(
    ("lists", "rules", "expected"),
    [
        pytest.param(b"", ListRules(), Reason.CERTIFICATE_UNTRUSTED, id="M17-none-at-hand"),
        pytest.param(b"", ListRules(fetched=True), Reason.KEYS_UNAVAILABLE, id="M17-none-fetched-yet"),
        pytest.param(b"", ListRules(required=False), None, id="M17-none-and-open"),
        pytest.param(STALE, ListRules(), Reason.CERTIFICATE_UNTRUSTED, id="M17-out-of-date"),
        pytest.param(STALE, ListRules(fetched=True), Reason.KEYS_UNAVAILABLE, id="M17-fetched-and-out-of-date"),
        pytest.param(STALE, ListRules(required=False), None, id="M17-out-of-date-and-open"),
        pytest.param(
            ROOT.crl([LEAF.serial_number], next_update=datetime.now(UTC) - timedelta(minutes=5)),
            ListRules(required=False),
            Reason.CERTIFICATE_REVOKED,
            id="M17-revoked-on-a-list-that-is-out-of-date-and-open",
        ),
        pytest.param(
            ROOT.crl([LEAF.serial_number]), ListRules(required=False), Reason.CERTIFICATE_REVOKED, id="M17-revoked"
        ),
    ],
)
def test_what_it_means_that_no_list_counts(lists: bytes, rules: ListRules, expected: Reason | None) -> None:
    held = Revocations(parse_lists(lists) if lists else (), rules)
    if expected is None:
        assert held.check(LEAF, ROOT.certificate, NOW) == float("inf")
        return
    with pytest.raises(CertificateFault) as fault:
        held.check(LEAF, ROOT.certificate, NOW)
    assert fault.value.reason is expected


def test_only_a_list_of_the_same_issuer_can_be_older() -> None:
    earlier = datetime.now(UTC) - 2 * HOUR
    old, new = Revocations(parse_lists(ROOT.crl(last_update=earlier))), Revocations(parse_lists(ROOT.crl(number=2)))
    assert old.older_than(new)
    assert not new.older_than(old)
    assert not new.older_than(new)
    assert not Revocations(parse_lists(OTHER.crl(last_update=earlier))).older_than(new)
    assert not Revocations(parse_lists(new.pem())).older_than(new)
