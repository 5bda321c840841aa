"""The answers of the Workload API, judged: what the gateway may be, and whom it may believe.

Rule: an answer is taken whole (keys fit, one id each, chains verify, in date, bundles parse) or not at all.
Invariant: no message holds a byte of a key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from gateway.control.feeds.bundle import der_certificates
from gateway.control.feeds.workload_messages import SvidMessage, read_bundles, read_svids
from gateway.kernel.x509.chain import judge_chain
from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import UNREADABLE, Purpose, check_usage, read_leaf, spiffe_id
from gateway.kernel.x509.spiffe import parse_trust_domain
from gateway.kernel.x509.trust import authority_of


@dataclass(frozen=True, slots=True)
class Svid:
    """An identity of the gateway's."""

    id: str
    certificates: bytes  # PEM, leaf first
    key: bytes = field(repr=False)  # PEM
    begins: float  # seconds since the epoch
    ends: float  # seconds since the epoch: the leaf's notAfter
    digest: bytes


def choose_svid(answer: bytes, hint: str | None, now: float) -> Svid:
    """Of an X509SVIDResponse the SVID with this hint, else the first. Raises ValueError, for any that does not hold."""
    messages = read_svids(answer)
    if not messages:
        raise ValueError("the answer holds no SVID")
    judged = [(message.hint, _judge(message, now)) for message in messages]
    for said, svid in judged:
        if hint is None or said == hint:
            return svid
    raise ValueError("no SVID of the answer has the hint that is configured")


def judge_bundles(answer: bytes) -> Mapping[str, tuple[x509.Certificate, ...]]:
    """The roots in an X509BundlesResponse by trust domain. Raises ValueError."""
    return {parse_trust_domain(name): der_certificates(data) for name, data in read_bundles(answer).items()}


def _judge(message: SvidMessage, now: float) -> Svid:
    """Raises ValueError."""
    chain, roots = der_certificates(message.certificates), der_certificates(message.bundle)
    if not chain:
        raise ValueError("an SVID has no certificate")
    ders = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    try:
        leaf = read_leaf(ders[0])
        identity = spiffe_id(leaf)
        if identity is None or identity.id != message.spiffe_id:
            raise ValueError("an SVID's certificate holds another id than the answer says")
        check_usage(leaf, Purpose.CLIENT)
        judge_chain(leaf, ders[1:], authority_of(identity.trust_domain, roots, None), now)
    except CertificateFault as fault:
        raise ValueError(f"an SVID does not hold: {fault.detail}") from None
    pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)
    key = _fitting_key(message.key, chain)
    return Svid(identity.id, pem, key, leaf.not_before, leaf.not_after, sha256(pem + key).digest())


def _fitting_key(der: bytes, chain: Sequence[x509.Certificate]) -> bytes:
    """The private key of the first certificate, in PEM. Raises ValueError."""
    try:
        key = load_der_private_key(der, None)
        spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        fits = key.public_key().public_bytes(*spki) == chain[0].public_key().public_bytes(*spki)
    except UNREADABLE:
        raise ValueError("the key of an SVID cannot be read") from None
    if not fits:
        raise ValueError("the key of an SVID is not that of its certificate")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
