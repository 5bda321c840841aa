"""Online certificate status (RFC 6960): the question about one certificate, and what an answer to it is worth.

Rule: an answer counts when the certificate's own issuer signed it, or a responder that this issuer named for it
(section 4.2.2.2), when it is about this very certificate, in date, and holds our nonce where it holds one (RFC 9654).
Invariant: fail closed; what is not understood to the end says nothing, and never that a certificate is good.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice, pairwise
from os import urandom
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from gateway.kernel.x509.crl import Revocations
from gateway.kernel.x509.leaf import UNREADABLE, find
from gateway.model.noun import noun

SKEW = 60.0  # seconds that the responder's clock may be ahead of ours, or behind it
LONGEST = 64 * 1024  # bytes of an answer
_NONCE = 32  # bytes (RFC 9654 section 2.1)
_MAX_SENT = 8  # certificates in an answer
_WEAK = ("md5", "sha1")
_UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)  # of a responder's own certificate


@dataclass(frozen=True, slots=True)
class StatusRules:
    """Whom an authority's certificates are asked about, and what becomes of them meanwhile."""

    responder: str | None = None  # a URL; None: the one that the certificate itself names
    hosts: tuple[str, ...] = ()  # that a certificate may name, lower case; (): any public one
    ca: Path | None = None  # a private authority of the responder's web server; None: the system's
    refresh: float = 300.0  # seconds after which an answer is asked for anew
    max_stale: float = 86400.0  # seconds for which it counts at most while none can be had
    required: bool = True  # False: where no answer is at hand, a certificate is good
    leaf: bool = False  # only the leaf is asked about; else every certificate of a chain but its anchor
    nonce: bool = False  # an answer without our nonce does not count


@noun
class StatusQuestion:
    """One certificate that is asked about."""

    authority: str  # the name of the trust domain or client authority
    certificate: x509.Certificate
    issuer: x509.Certificate
    rules: StatusRules
    revocations: Revocations | None  # lists of the same authority, which may name the responder's own certificate
    key: bytes  # the same for the same certificate under the same rules

    def __repr__(self) -> str:
        return f"StatusQuestion({self.authority!r}, {self.certificate.serial_number:x})"


@noun
class Status:
    """What a responder says of a certificate. Times are seconds since the epoch."""

    known: bool  # False: it does not know the certificate
    revoked: bool
    begins: float  # thisUpdate, less the skew
    made: float  # thisUpdate
    ends: float  # nextUpdate; where there is none, `refresh` after thisUpdate


def questions(
    authority: str, chain: Sequence[x509.Certificate], rules: StatusRules, revocations: Revocations | None
) -> tuple[StatusQuestion, ...]:
    """What is asked about a chain that holds: leaf first, its anchor last."""
    pairs = islice(pairwise(chain), 1) if rules.leaf else pairwise(chain)
    return tuple(
        StatusQuestion(authority, certificate, issuer, rules, revocations, _key(certificate, issuer, rules))
        for certificate, issuer in pairs
    )


def responder_of(question: StatusQuestion) -> str:
    """The URL to ask. Raises ValueError where nothing names one."""
    if question.rules.responder is not None:
        return question.rules.responder
    try:
        access = find(question.certificate.extensions, x509.AuthorityInformationAccess)
    except UNREADABLE:
        access = None
    for described in access.value if access is not None else ():
        location = described.access_location
        if described.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
            location, x509.UniformResourceIdentifier
        ):
            return location.value
    raise ValueError("neither the file nor the certificate names a responder")


def encode(question: StatusQuestion) -> tuple[bytes, bytes]:
    """The request in DER, and its nonce.

    The certificate is named by SHA-1, which every responder knows (RFC 5019 section 2.1.1); nothing hangs on its
    strength, for the answer is held against the same certificate.
    """
    nonce = urandom(_NONCE)
    builder = ocsp.OCSPRequestBuilder().add_certificate(question.certificate, question.issuer, SHA1())  # noqa: S303
    request = builder.add_extension(x509.OCSPNonce(nonce), critical=False).build()
    return request.public_bytes(Encoding.DER), nonce


def read_answer(question: StatusQuestion, data: bytes, nonce: bytes, now: float) -> Status:
    """What `data` (DER) says of the certificate. Raises ValueError, which says why it counts for nothing."""
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise ValueError(f"the responder says {response.response_status.name.lower()}")
        if sum(1 for _ in response.responses) != 1:
            raise ValueError("the answer is not about one certificate alone")
        _check_subject(question, response)
        _check_extensions(question, response, nonce)
        _check_signature(question, response, now)
        return _status(question, response, now)
    except ValueError as error:  # of ours, or of the library: neither holds a byte of what was sent
        raise ValueError(str(error) or "the answer cannot be read") from None
    except UNREADABLE as error:
        raise ValueError(f"the answer cannot be read ({type(error).__name__})") from None


def _key(certificate: x509.Certificate, issuer: x509.Certificate, rules: StatusRules) -> bytes:
    said = b"".join((certificate.fingerprint(SHA256()), issuer.fingerprint(SHA256()), repr(rules).encode()))
    return sha256(said).digest()


def _check_subject(question: StatusQuestion, response: ocsp.OCSPResponse) -> None:
    """CertID (RFC 6960 section 3.2, point 1)."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(question.certificate, question.issuer, SHA1())  # noqa: S303
    asked = builder.build()
    if (
        response.serial_number != asked.serial_number
        or response.hash_algorithm.name != asked.hash_algorithm.name
        or response.issuer_name_hash != asked.issuer_name_hash
        or response.issuer_key_hash != asked.issuer_key_hash
    ):
        raise ValueError("the answer is about another certificate")


def _check_extensions(question: StatusQuestion, response: ocsp.OCSPResponse, nonce: bytes) -> None:
    returned = None
    for extension in response.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            returned = extension.value.nonce
        elif extension.critical:
            raise ValueError("the answer has a critical extension that is not understood")
    if any(extension.critical for extension in response.single_extensions):
        raise ValueError("the answer has a critical extension that is not understood")
    if returned is None and question.rules.nonce:
        raise ValueError("the answer does not return the nonce")
    if returned is not None and returned != nonce:
        raise ValueError("the answer returns the nonce of another request")


def _check_signature(question: StatusQuestion, response: ocsp.OCSPResponse, now: float) -> None:
    digest = response.signature_hash_algorithm
    if digest is not None and digest.name in _WEAK:
        raise ValueError("the answer is signed with SHA-1 or MD5")
    for signer in _signers(question, response, now):
        if _signed(response, signer):
            return
    raise ValueError("the answer is signed neither by the certificate's issuer nor by who may answer for it")


def _signers(question: StatusQuestion, response: ocsp.OCSPResponse, now: float) -> Iterator[x509.Certificate]:
    """Those whom the answer names as its signer, and who may be (RFC 6960 section 4.2.2.2)."""
    if _named(response, question.issuer):
        yield question.issuer
    sent = response.certificates
    if len(sent) > _MAX_SENT:
        raise ValueError("too many certificates stand in the answer")
    for certificate in sent:
        if _named(response, certificate) and _may_answer(question, certificate, now):
            yield certificate


def _named(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    key = certificate.public_key()
    return response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(key).digest


def _may_answer(question: StatusQuestion, certificate: x509.Certificate, now: float) -> bool:
    """True for a certificate of the issuer's own that it gave out to sign its answers with, and that still holds."""
    try:
        certificate.verify_directly_issued_by(question.issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    extensions, digest = certificate.extensions, certificate.signature_hash_algorithm
    extended, usage = find(extensions, x509.ExtendedKeyUsage), find(extensions, x509.KeyUsage)
    basic = find(extensions, x509.BasicConstraints)
    if extended is None or ExtendedKeyUsageOID.OCSP_SIGNING not in extended.value:
        return False
    if (usage is not None and not usage.value.digital_signature) or (basic is not None and basic.value.ca):
        return False
    if digest is not None and digest.name in _WEAK:
        return False
    if any(extension.critical and not isinstance(extension.value, _UNDERSTOOD) for extension in extensions):
        return False
    if not certificate.not_valid_before_utc.timestamp() <= now <= certificate.not_valid_after_utc.timestamp():
        return False
    if find(extensions, x509.OCSPNoCheck) is None and question.revocations is not None:
        try:
            question.revocations.check(certificate, question.issuer, now)
        except ValueError:  # CertificateFault: it is on a list, or no list is at hand
            return False
    return True


def _signed(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, signature, signed = signer.public_key(), response.signature, response.tbs_response_bytes
    digest = response.signature_hash_algorithm
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(signature, signed, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(signature, signed, padding.PKCS1v15(), digest)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _status(question: StatusQuestion, response: ocsp.OCSPResponse, now: float) -> Status:
    """The dates (RFC 6960 section 4.2.2.1), and what is said."""
    made, following = response.this_update_utc.timestamp(), response.next_update_utc
    ends = following.timestamp() if following is not None else made + question.rules.refresh
    if max(made, response.produced_at_utc.timestamp()) > now + SKEW:
        raise ValueError("the answer is from the future")
    if ends + SKEW <= now:
        raise ValueError("the answer is out of date")
    said = response.certificate_status
    return Status(
        said is not ocsp.OCSPCertStatus.UNKNOWN, said is ocsp.OCSPCertStatus.REVOKED, made - SKEW, made, ends + SKEW
    )
