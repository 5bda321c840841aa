"""What an answer about a certificate is worth, and whose word is taken."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ObjectIdentifier

from gateway.kernel.x509.crl import Revocations, parse_lists
from gateway.kernel.x509.ocsp import StatusQuestion, StatusRules, encode, questions, read_answer, responder_of
from gateway.testing.ca import CLIENT_AUTH, Authority, Issued
from tests.responder import OCSP_SIGNING, REVOKED, UNKNOWN, Said, delegate, now, respond

ROOT = Authority("cluster.local")
OTHER = Authority("cluster.local")
LEAF = ROOT.issue(uri="spiffe://cluster.local/a")
SECOND = ROOT.issue(uri="spiffe://cluster.local/a")
NO_CHECK = (x509.OCSPNoCheck(), False)
ODD = ObjectIdentifier("1.2.3.4.5")
HOUR = timedelta(hours=1)
IMPOSTOR = OTHER.issue(subject=ROOT.name)  # another key under the issuer's name
DIRECT, NAMED = delegate(ROOT), delegate(ROOT, extensions=[NO_CHECK])


def question(
    leaf: Issued = LEAF, *, lists: bytes | None = None, issuer: Authority = ROOT, **rules: Any
) -> StatusQuestion:
    revocations = Revocations(parse_lists(lists)) if lists is not None else None
    chain = (leaf.cert, issuer.certificate)
    return questions("cluster.local", chain, StatusRules(**rules), revocations)[0]


def judged(said: Said, asked: StatusQuestion | None = None, at: float | None = None) -> Any:
    held = asked or question()
    _, nonce = encode(held)
    answer = respond(ROOT, held.certificate, nonce, said)
    return read_answer(held, answer, nonce, at if at is not None else time.time())


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(Said(), id="by-the-issuer"),
        pytest.param(Said(by_name=True), id="by-the-issuer-named"),
        pytest.param(Said(signer=DIRECT), id="by-a-delegate"),
        pytest.param(Said(signer=NAMED, by_name=True), id="by-a-delegate-named"),
        pytest.param(Said(signer=delegate(ROOT, algorithm="rsa2048")), id="rsa"),
        pytest.param(Said(signer=delegate(ROOT, algorithm="ed25519")), id="ed25519"),
        pytest.param(Said(nonce=False), id="without-a-nonce"),
        pytest.param(Said(next_update=timedelta(seconds=-30)), id="out-of-date-within-the-skew"),
        pytest.param(Said(this_update=timedelta(seconds=20)), id="ahead-within-the-skew"),
        pytest.param(Said(signer=DIRECT, sent=[OTHER.certificate, DIRECT.cert]), id="among-others"),
    ],
)
def test_an_answer_that_counts(said: Said) -> None:
    status = judged(said)
    assert (status.known, status.revoked) == (True, False)
    assert status.begins < time.time() < status.ends


def test_what_is_said_of_a_certificate() -> None:
    assert judged(Said(status=REVOKED)).revoked
    unknown = judged(Said(status=UNKNOWN))
    assert (unknown.known, unknown.revoked) == (False, False)


def test_an_answer_without_an_end_counts_for_one_refresh() -> None:
    status = judged(Said(this_update=timedelta(), forever=True), question(refresh=300))
    assert status.ends == status.made + 300 + 60
    with pytest.raises(ValueError, match="out of date"):
        judged(Said(this_update=-HOUR, forever=True), question(refresh=300))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        pytest.param(Said(signer=IMPOSTOR, by_name=True, sent=()), "signed neither", id="M17-ocsp-forged"),
        pytest.param(Said(signer=delegate(OTHER)), "signed neither", id="M17-ocsp-delegate-of-another-authority"),
        pytest.param(Said(signer=delegate(ROOT, extended_key_usage=None)), "signed neither", id="M17-ocsp-no-eku"),
        pytest.param(
            Said(signer=delegate(ROOT, extended_key_usage=(CLIENT_AUTH,))), "signed neither", id="M17-ocsp-other-eku"
        ),
        pytest.param(Said(signer=LEAF), "signed neither", id="M17-ocsp-by-the-certificate-itself"),
        pytest.param(Said(signer=SECOND), "signed neither", id="M17-ocsp-by-another-client"),
        pytest.param(
            Said(signer=delegate(ROOT.intermediate())), "signed neither", id="M17-ocsp-delegate-of-an-intermediate"
        ),
        pytest.param(
            Said(signer=delegate(ROOT, not_after=now() - HOUR)), "signed neither", id="M17-ocsp-delegate-expired"
        ),
        pytest.param(
            Said(signer=delegate(ROOT, not_before=now() + HOUR)), "signed neither", id="M17-ocsp-delegate-to-come"
        ),
        pytest.param(
            Said(signer=delegate(ROOT, is_ca=True, key_usage=("digital_signature", "key_cert_sign"))),
            "signed neither",
            id="M17-ocsp-delegate-an-authority",
        ),
        pytest.param(
            Said(signer=delegate(ROOT, key_usage=("key_encipherment",))), "signed neither", id="M17-ocsp-wrong-usage"
        ),
        pytest.param(
            Said(signer=delegate(ROOT, extensions=[(x509.UnrecognizedExtension(ODD, b"\x05\x00"), True)])),
            "signed neither",
            id="M17-ocsp-delegate-critical",
        ),
        pytest.param(Said(signer=delegate(ROOT), sent=()), "signed neither", id="M17-ocsp-delegate-not-sent"),
        pytest.param(
            Said(signer=OTHER.issue(subject=DIRECT.cert.subject), by_name=True, sent=[DIRECT.cert]),
            "signed neither",
            id="M17-ocsp-in-a-delegates-name",
        ),
        pytest.param(
            Said(signer=IMPOSTOR, by_name=True, sent=[ROOT.certificate] * 9),
            "too many",
            id="M17-ocsp-many-certificates",
        ),
        pytest.param(Said(about=SECOND.cert), "another certificate", id="M17-ocsp-other-serial"),
        pytest.param(Said(certid=SHA256()), "another certificate", id="M17-ocsp-other-certid"),
        pytest.param(Said(nonce=b"\0" * 32), "nonce of another", id="M17-ocsp-other-nonce"),
        pytest.param(Said(this_update=-2 * HOUR, next_update=-HOUR), "out of date", id="M17-ocsp-out-of-date"),
        pytest.param(Said(this_update=HOUR, next_update=2 * HOUR), "from the future", id="M17-ocsp-to-come"),
        pytest.param(
            Said(extensions=[(x509.UnrecognizedExtension(ODD, b"\x05\x00"), True)]), "critical", id="M17-ocsp-critical"
        ),
    ],
)
def test_an_answer_that_counts_for_nothing(said: Said, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        judged(said)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="M17-ocsp-empty"),
        pytest.param(b"<html>", id="M17-ocsp-no-der"),
        pytest.param(respond(ROOT, LEAF.cert, None, Said())[:-20], id="M17-ocsp-cut-off"),
        pytest.param(respond(ROOT, LEAF.cert, None, Said()) + b"\0", id="M17-ocsp-with-a-tail"),
        pytest.param(b"0" * 65536, id="M17-ocsp-noise"),
        pytest.param(ROOT.der, id="M17-ocsp-a-certificate"),
    ],
)
def test_what_is_no_answer_is_no_verdict(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_answer(question(), data, b"", time.time())


def test_M17_an_answer_signed_with_sha1_is_none() -> None:
    """The library makes none, so the algorithm's identifier is changed in one that it made."""
    asked = question()
    _, nonce = encode(asked)
    answer = respond(ROOT, LEAF.cert, nonce, Said(signer=delegate(ROOT, algorithm="rsa2048")))
    sha256, sha1 = (bytes.fromhex(f"2a864886f70d0101{last}") for last in ("0b", "05"))
    assert answer.count(sha256) == 1
    with pytest.raises(ValueError, match="SHA-1"):
        read_answer(asked, answer.replace(sha256, sha1), nonce, time.time())


@pytest.mark.parametrize("said", ["MALFORMED_REQUEST", "INTERNAL_ERROR", "TRY_LATER", "SIG_REQUIRED", "UNAUTHORIZED"])
def test_M17_a_responder_that_says_nothing_is_no_verdict(said: str) -> None:
    data = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus[said]).public_bytes(Encoding.DER)
    with pytest.raises(ValueError, match=f"the responder says {said.lower()}"):
        read_answer(question(), data, b"", time.time())


def test_M17_a_nonce_may_be_required() -> None:
    with pytest.raises(ValueError, match="does not return the nonce"):
        judged(Said(nonce=False), question(nonce=True))
    assert judged(Said(), question(nonce=True)).known


def test_M17_a_delegate_is_looked_up_on_the_lists_of_its_authority_unless_it_says_no_check() -> None:
    lists = ROOT.crl([DIRECT, NAMED])
    assert judged(Said(signer=delegate(ROOT)), question(lists=lists)).known
    assert judged(Said(signer=NAMED), question(lists=lists)).known
    with pytest.raises(ValueError, match="signed neither"):
        judged(Said(signer=DIRECT), question(lists=lists))


def test_the_request_names_the_certificate_and_holds_a_nonce_that_is_new_each_time() -> None:
    first, second = (ocsp.load_der_ocsp_request(encode(question())[0]) for _ in range(2))
    assert first.serial_number == LEAF.serial
    nonces = [each.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce for each in (first, second)]
    assert len(nonces[0]) == 32
    assert nonces[0] != nonces[1]


def test_every_certificate_but_the_anchor_is_asked_about_or_the_leaf_alone() -> None:
    below = ROOT.intermediate()
    leaf = below.issue(uri="spiffe://cluster.local/a")
    chain = (leaf.cert, below.certificate, ROOT.certificate)
    asked = questions("cluster.local", chain, StatusRules(), None)
    assert [each.certificate for each in asked] == [leaf.cert, below.certificate]
    assert [each.issuer for each in asked] == [below.certificate, ROOT.certificate]
    assert len(questions("cluster.local", chain, StatusRules(leaf=True), None)) == 1
    assert len({each.key for each in asked}) == 2
    assert asked[0].key != questions("cluster.local", chain, StatusRules(refresh=1), None)[0].key


def test_who_is_asked() -> None:
    def issued(*places: tuple[ObjectIdentifier, str]) -> Issued:
        described = [x509.AccessDescription(kind, x509.UniformResourceIdentifier(url)) for kind, url in places]
        return ROOT.issue(
            uri="spiffe://cluster.local/a", extensions=[(x509.AuthorityInformationAccess(described), False)]
        )

    ca, aia = AuthorityInformationAccessOID.CA_ISSUERS, AuthorityInformationAccessOID.OCSP
    leaf = issued((ca, "https://ca.example"), (aia, "https://ocsp.example"))
    assert responder_of(question(leaf)) == "https://ocsp.example"
    assert responder_of(question(leaf, responder="https://mine.example")) == "https://mine.example"
    for nameless in (LEAF, issued((ca, "https://ca.example"))):
        with pytest.raises(ValueError, match="names a responder"):
            responder_of(question(nameless))


def test_another_issuers_answer_is_about_another_certificate() -> None:
    """The same serial under another authority of the same name."""
    twin = Authority("cluster.local")
    leaf = twin.issue(uri="spiffe://cluster.local/a", serial=LEAF.serial)
    asked = question(leaf, issuer=twin)
    answer = respond(ROOT, LEAF.cert, None, Said())
    with pytest.raises(ValueError, match="another certificate"):
        read_answer(asked, answer, b"", datetime.now(UTC).timestamp())


def test_a_delegates_usage_is_ocsp_signing_itself() -> None:
    """anyExtendedKeyUsage is no substitute (RFC 6960 section 4.2.2.2)."""
    anything = ObjectIdentifier("2.5.29.37.0")
    with pytest.raises(ValueError, match="signed neither"):
        judged(Said(signer=delegate(ROOT, extended_key_usage=(anything,))))
    assert judged(Said(signer=delegate(ROOT, extended_key_usage=(anything, OCSP_SIGNING)))).known
