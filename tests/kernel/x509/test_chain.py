"""How long a verdict stands, and what is said of one that does not."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from gateway.kernel.x509.chain import judge_chain, openssl_refuses
from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import read_leaf
from gateway.kernel.x509.trust import make_authority
from gateway.model.reason import Reason
from gateway.testing.ca import CLIENT_AUTH, SERVER_AUTH, Authority, Issued
from gateway.testing.tls import client_context, server_context

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


def handshake_fails(root: Authority, client: Issued) -> bool:
    """What OpenSSL itself says, in memory."""
    server = server_context(root.issue(dns=["localhost"]), [root])
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client_context([root], client).wrap_bio(to_client, to_server, server_hostname="localhost")
    for side in (theirs, ours, theirs, ours):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            return True
    return False


ROOT = Authority("a")
ID = "spiffe://a/b"
BELOW = ROOT.intermediate()


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(ROOT.issue(uri=ID), id="M13-good"),
        pytest.param(BELOW.issue(uri=ID), id="M13-good-below-an-intermediate"),
        pytest.param(Authority("a").issue(uri=ID), id="M13-of-a-stranger"),
        pytest.param(Authority("a").intermediate().issue(uri=ID), id="M13-of-a-stranger-below-an-intermediate"),
        pytest.param(ROOT.issue(uri=ID, signed_by=BELOW.key), id="M13-forged"),
        pytest.param(ROOT.issue(uri=ID, not_before=NOW - 9 * HOUR, not_after=NOW - HOUR), id="M13-expired"),
        pytest.param(ROOT.issue(uri=ID, not_before=NOW + HOUR), id="M13-not-yet-valid"),
        pytest.param(ROOT.issue(uri=ID, key_identifiers=False), id="M12-no-key-identifiers"),
        pytest.param(ROOT.issue(common_name="b"), id="M8-no-name-but-a-common-one"),
        pytest.param(ROOT.issue(dns=["b.example"]), id="M8-a-dns-name"),
        pytest.param(ROOT.issue(uris=[ID, "spiffe://a/c"]), id="M2-two-ids"),
        pytest.param(ROOT.issue(uri=ID, is_ca=True), id="M5-an-authority"),
        pytest.param(ROOT.issue(uri=ID, is_ca=True, key_usage=["key_cert_sign"]), id="M5-an-authority-that-signs"),
        pytest.param(ROOT.issue(uri=ID, key_usage=None), id="M5-no-key-usage"),
        pytest.param(ROOT.issue(uri=ID, key_usage_critical=False), id="M5-key-usage-not-critical"),
        pytest.param(ROOT.issue(uri=ID, key_usage=["key_encipherment"]), id="M5-no-digital-signature"),
        pytest.param(ROOT.issue(uri=ID, key_usage=["digital_signature", "key_cert_sign"]), id="M5-signs-and-is-none"),
        pytest.param(ROOT.issue(uri=ID, key_usage=["digital_signature", "crl_sign"]), id="M5-signs-lists"),
        pytest.param(ROOT.issue(uri=ID, extended_key_usage=[SERVER_AUTH]), id="M13-server-usage-only"),
        pytest.param(ROOT.issue(uri=ID, extended_key_usage=[CLIENT_AUTH]), id="M13-client-usage-only"),
        pytest.param(ROOT.issue(uri=ID, extended_key_usage=None), id="M13-no-usage"),
        pytest.param(ROOT.issue(uri=ID, basic_constraints=False), id="M5-no-basic-constraints"),
    ],
)
def test_what_ends_in_the_handshake_is_foretold_as_openssl_decides_it(client: Issued) -> None:
    authority = make_authority("a", ROOT.pem(), None)
    told = openssl_refuses(read_leaf(client.der), client.ders[1:], authority, datetime.now(UTC).timestamp())
    assert told is handshake_fails(ROOT, client)
