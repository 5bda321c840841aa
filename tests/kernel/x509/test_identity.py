"""What a proved workload says of its certificate."""

import hashlib
import time

import pytest

from gateway.kernel.patterns.values import compile_values
from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.identity import prove_client, spiffe_workload
from gateway.kernel.x509.spiffe import parse_spiffe_id
from gateway.kernel.x509.trust import ClientAuthority, Trust, make_authority
from gateway.model.reason import Reason
from gateway.testing.ca import Authority
from gateway.testing.issuer import base64url

NOW = time.time()


def test_a_workload_has_its_proofs_at_hand() -> None:
    authority = Authority("cluster.local")
    below = authority.intermediate()
    issued = below.issue(uri="spiffe://cluster.local/ns/shop/sa/web", dns=["web.shop"], common_name="web")
    trust = Trust({"cluster.local": make_authority("cluster.local", authority.pem(), None)}, ())
    proof = prove_client(issued.ders, trust, NOW)
    held = proof.workload
    digest = hashlib.sha256(issued.der)
    assert held.id == "spiffe://cluster.local/ns/shop/sa/web"
    assert (held.trust_domain, held.namespace, held.service_account) == ("cluster.local", "shop", "web")
    assert (held.fingerprint, held.thumbprint) == (digest.hexdigest(), base64url(digest.digest()))
    assert held.not_after == issued.cert.not_valid_after_utc.timestamp()
    assert held.dns_names == ("web.shop",)
    assert "CN=web" in held.subject
    assert proof.begins <= NOW <= proof.ends == held.not_after


def test_a_dns_identity_has_no_trust_domain() -> None:
    authority = Authority("ignored")
    held = ClientAuthority(
        make_authority("partners", authority.pem(), None), compile_values(["*.partner.example"], ignore_case=True)
    )
    trust = Trust({}, (held,))
    proof = prove_client(authority.issue(dns=["other.example", "A.Partner.example"]).ders, trust, NOW)
    assert proof.workload.id == "dns:a.partner.example"
    assert proof.workload.trust_domain is None
    with pytest.raises(CertificateFault):
        prove_client(authority.issue(dns=["partner.example"]).ders, trust, NOW)


def test_a_name_that_two_may_vouch_for_is_judged_by_the_one_that_signed() -> None:
    first, second = Authority("a"), Authority("b")
    both = tuple(ClientAuthority(make_authority(a.trust_domain, a.pem(), None), bool) for a in (first, second))
    assert prove_client(second.issue(dns=["x.example"]).ders, Trust({}, both), NOW).workload.id == "dns:x.example"


def test_who_took_its_word_back_is_not_overruled() -> None:
    authority = Authority("a")
    leaf = authority.issue(dns=["x.example"])
    strict = ClientAuthority(make_authority("strict", authority.pem(), authority.crl([leaf])), bool)
    lax = ClientAuthority(make_authority("lax", authority.pem(), None), bool)
    with pytest.raises(CertificateFault) as refused:
        prove_client(leaf.ders, Trust({}, (strict, lax)), NOW)
    assert refused.value.reason is Reason.CERTIFICATE_REVOKED


def test_an_assumed_workload_has_an_id_and_no_certificate() -> None:
    held = spiffe_workload(parse_spiffe_id("spiffe://td/ns/a/sa/b"), not_after=5.0)
    assert (held.id, held.namespace, held.fingerprint, held.not_after) == ("spiffe://td/ns/a/sa/b", "a", "", 5.0)
