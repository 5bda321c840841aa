"""A leaf and what was sent with it, judged against one bundle (RFC 5280 section 6, X509-SVID section 5).

Rule: path building and the strict profile are cryptography's verifier; identity and usage of the leaf are ours.
Invariant: the verdict hangs on the DER, the bundle, its lists and `now` alone, never on how TLS came about.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice, pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, VerificationError

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import UNREADABLE, Leaf, find
from gateway.kernel.x509.ocsp import StatusQuestion, questions
from gateway.kernel.x509.trust import Authority
from gateway.model.noun import noun
from gateway.model.reason import Reason

_MAX_DEPTH = 6  # certificates between leaf and anchor
_MAX_SENT = 12


@noun
class Verdict:
    """A chain that holds, and for how long: seconds since the epoch, both ends included."""

    begins: float
    ends: float  # the first notAfter of the chain, or nextUpdate of a revocation list that it hung on
    not_after: float  # the first notAfter of the chain
    questions: tuple[StatusQuestion, ...] = ()  # that its authority wants asked besides


def judge_chain(leaf: Leaf, sent: Sequence[bytes], authority: Authority, now: float) -> Verdict:
    """Judge `leaf` with the certificates `sent` after it (DER, any order).

    Revocation: every one but the anchor, or the leaf alone where the lists' rules say so.
    Raises CertificateFault: CERTIFICATE_EXPIRED where a date has passed, CERTIFICATE_REVOKED,
    CERTIFICATE_UNTRUSTED; KEYS_UNAVAILABLE where the bundle, or fetched lists, are not at hand.
    """
    if not authority.known:
        raise CertificateFault(Reason.KEYS_UNAVAILABLE, f"the bundle of {authority.name} is not available yet")
    if len(sent) > _MAX_SENT:
        raise CertificateFault(Reason.CERTIFICATE_UNTRUSTED, "too many certificates were sent")
    try:
        intermediates = [x509.load_der_x509_certificate(der) for der in sent]
    except UNREADABLE:
        raise CertificateFault(Reason.CERTIFICATE_UNTRUSTED, "a certificate that was sent cannot be read") from None
    chain = _build(leaf, intermediates, authority, now)
    begins = max(certificate.not_valid_before_utc.timestamp() for certificate in chain)
    not_after = ends = min(certificate.not_valid_after_utc.timestamp() for certificate in chain)
    if authority.revocations is not None:
        pairs = pairwise(chain)
        for certificate, issuer in islice(pairs, 1) if authority.revocations.rules.leaf else pairs:
            ends = min(ends, authority.revocations.check(certificate, issuer, now))
    status = authority.status
    asked = questions(authority.name, chain, status, authority.revocations) if status is not None else ()
    return Verdict(begins, ends, not_after, asked)


def openssl_refuses(leaf: Leaf, sent: Sequence[bytes], authority: Authority, now: float) -> bool:
    """Whether a handshake that verifies by `authority` would end for this chain, which is all that its client sees.

    OpenSSL asks for a path, dates, a purpose and what VERIFY_X509_STRICT adds. Who the leaf is, that it is no authority
    and that it is not revoked we judge alone, behind the handshake.
    """
    extensions = leaf.certificate.extensions
    extended, usage = find(extensions, x509.ExtendedKeyUsage), find(extensions, x509.KeyUsage)
    if extended is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in extended.value:
        return True
    if usage is not None:
        basic = find(extensions, x509.BasicConstraints)
        if not (usage.value.digital_signature or usage.value.key_agreement):
            return True
        if usage.value.key_cert_sign and not (basic is not None and basic.value.ca):
            return True
    if find(extensions, x509.AuthorityKeyIdentifier) is None or find(extensions, x509.SubjectKeyIdentifier) is None:
        return True
    try:
        _verify(
            leaf, [x509.load_der_x509_certificate(der) for der in sent], authority, now, ExtensionPolicy.permit_all()
        )
    except (VerificationError, *UNREADABLE):
        return True
    return False


def _build(leaf: Leaf, sent: list[x509.Certificate], authority: Authority, now: float) -> list[x509.Certificate]:
    try:
        return _verify(leaf, sent, authority, now)
    except UNREADABLE:
        raise CertificateFault(Reason.CERTIFICATE_UNTRUSTED, "the chain cannot be read") from None
    except VerificationError:
        pass
    signed = _signed_path(leaf.certificate, sent, authority)
    if any(certificate.not_valid_after_utc.timestamp() < now for certificate in signed):
        raise CertificateFault(Reason.CERTIFICATE_EXPIRED, "the certificate, or one above it, has expired")
    raise CertificateFault(
        Reason.CERTIFICATE_UNTRUSTED, f"the bundle of {authority.name} does not vouch for the certificate"
    )


def _verify(
    leaf: Leaf, sent: list[x509.Certificate], authority: Authority, when: float, of_leaf: ExtensionPolicy | None = None
) -> list[x509.Certificate]:
    if authority.store is None:
        raise VerificationError("the bundle is empty")
    verifier = (
        PolicyBuilder()
        .store(authority.store)
        .time(datetime.fromtimestamp(when, UTC))
        .max_chain_depth(_MAX_DEPTH)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=of_leaf or ExtensionPolicy.webpki_defaults_ee()
        )
        .build_client_verifier()
    )
    return verifier.verify(leaf.certificate, sent).chain


def _signed_path(leaf: x509.Certificate, sent: list[x509.Certificate], authority: Authority) -> list[x509.Certificate]:
    """The leaf up to an anchor by signatures alone, or [].

    Only names the reason of a refusal that stands already: the same on the wire, and another in the log.
    """
    path, left = [leaf], list(sent)
    while len(path) <= _MAX_DEPTH:
        for anchor in authority.anchors:
            if _issued(path[-1], anchor):
                return [*path, anchor]
        above = next((candidate for candidate in left if _issued(path[-1], candidate)), None)
        if above is None:
            return []
        left.remove(above)
        path.append(above)
    return []


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
