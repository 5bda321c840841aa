"""Certificate revocation lists (RFC 5280 section 5).

Rule: a list counts only if the certificate's own issuer signed it and its nextUpdate has not passed.
Invariant: fail closed unless told otherwise; where lists are configured, a certificate whose issuer has no list that
counts is refused, and what stands on a list is revoked however old that list is.
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import UNREADABLE
from gateway.model.noun import noun
from gateway.model.reason import Reason

_BEGIN = b"-----BEGIN X509 CRL-----"
_END = b"-----END X509 CRL-----"
_ISSUER_KEYS = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)


@noun
class RevocationList:
    """One list, its shape checked; whose it is shows only beside an issuer."""

    crl: x509.CertificateRevocationList
    issuer: x509.Name
    serials: frozenset[int]
    this_update: float  # seconds since the epoch
    next_update: float  # seconds since the epoch


def parse_lists(data: bytes) -> tuple[RevocationList, ...]:
    """The lists in a file: PEM, one or several, or a single DER. Raises ValueError.

    Refuses delta and indirect lists, lists for a part of the certificates, lists without nextUpdate, and any critical
    extension, of the list or of an entry, that is not understood (RFC 5280 sections 5.2 and 5.3).
    """
    if _BEGIN not in data:
        return (_read(data, Encoding.DER),)
    blocks = data.split(_BEGIN)[1:]
    return tuple(_read(_BEGIN + block.partition(_END)[0] + _END + b"\n", Encoding.PEM) for block in blocks)


@dataclass(frozen=True, slots=True)
class ListRules:
    """What lists mean."""

    required: bool = True  # False: where none that counts is at hand, a certificate is good
    leaf: bool = False  # only of the leaf; else of every certificate of a chain but its anchor
    fetched: bool = False  # that none is at hand is an outage (503) and no verdict


BY_FILE = ListRules()


class Revocations:
    """The lists that are configured for one bundle."""

    __slots__ = ("_by_issuer", "_genuine", "ends", "lapses", "rules")

    def __init__(self, lists: tuple[RevocationList, ...], rules: ListRules = BY_FILE) -> None:
        self.rules = rules
        self.lapses = min((one.next_update for one in lists), default=float("inf"))  # the first nextUpdate
        self.ends = max((one.next_update for one in lists), default=float("inf"))  # the last: then none counts
        self._by_issuer: dict[x509.Name, list[RevocationList]] = {}
        for one in sorted(lists, key=lambda found: found.this_update, reverse=True):
            self._by_issuer.setdefault(one.issuer, []).append(one)
        self._genuine: dict[tuple[int, bytes], bool] = {}

    def check(self, certificate: x509.Certificate, issuer: x509.Certificate, now: float) -> float:
        """Until when (seconds since the epoch) this verdict stands.

        Raises CertificateFault: CERTIFICATE_REVOKED, or where no list that counts is at hand and one is required
        CERTIFICATE_UNTRUSTED, of fetched lists KEYS_UNAVAILABLE.
        """
        for one in self._by_issuer.get(issuer.subject, ()):  # newest first
            if not self._is_genuine(one, issuer):
                continue
            if one.this_update > now:
                continue
            if certificate.serial_number in one.serials:
                raise CertificateFault(Reason.CERTIFICATE_REVOKED, "the certificate is on its issuer's revocation list")
            if one.next_update < now:
                return self._without("its issuer's revocation list is out of date")
            return one.next_update
        return self._without("no revocation list of its issuer is at hand")

    def pem(self) -> bytes:
        """All of them, as a file holds them."""
        return b"".join(one.crl.public_bytes(Encoding.PEM) for lists in self._by_issuer.values() for one in lists)

    def older_than(self, held: "Revocations") -> bool:
        """True when a list in here was made before the newest that `held` has of the same issuer."""
        return any(
            lists[0].this_update < held._by_issuer[issuer][0].this_update  # noqa: SLF001 - its own kind
            for issuer, lists in self._by_issuer.items()
            if issuer in held._by_issuer  # noqa: SLF001
        )

    def _without(self, why: str) -> float:
        """What stands where no list counts."""
        if not self.rules.required:
            return float("inf")
        raise CertificateFault(Reason.KEYS_UNAVAILABLE if self.rules.fetched else Reason.CERTIFICATE_UNTRUSTED, why)

    def _is_genuine(self, one: RevocationList, issuer: x509.Certificate) -> bool:
        key = (id(one), issuer.fingerprint(SHA256()))
        known = self._genuine.get(key)
        if known is None:
            known = self._genuine[key] = signed_by(one, issuer)
        return known


def signed_by(one: RevocationList, issuer: x509.Certificate) -> bool:
    """True when `issuer` may sign lists and signed this one."""
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        key = issuer.public_key()
        if not usage.crl_sign or not isinstance(key, _ISSUER_KEYS):
            return False
        return one.crl.is_signature_valid(key)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def _read(data: bytes, encoding: Encoding) -> RevocationList:
    try:
        crl = x509.load_pem_x509_crl(data) if encoding is Encoding.PEM else x509.load_der_x509_crl(data)
        extensions = crl.extensions
        entries = list(crl)
        entry_extensions = [entry.extensions for entry in entries]
        digest = crl.signature_hash_algorithm
    except UNREADABLE:
        raise ValueError("not a certificate revocation list in PEM or DER") from None
    if digest is not None and digest.name in ("md5", "sha1"):
        raise ValueError("the list is signed with SHA-1 or MD5")
    for extension in extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise ValueError("a delta list is not a whole one: configure the complete list")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            raise ValueError("a list for a part of the certificates, or of another issuer's, is not supported")
        if extension.critical:
            raise ValueError("the list has a critical extension that is not understood")
    if any(extension.critical for held in entry_extensions for extension in held):
        raise ValueError("an entry of the list has a critical extension that is not understood")
    if crl.next_update_utc is None or crl.last_update_utc is None:
        raise ValueError("the list does not say when the next one comes (nextUpdate)")
    return RevocationList(
        crl,
        crl.issuer,
        frozenset(entry.serial_number for entry in entries),
        crl.last_update_utc.timestamp(),
        crl.next_update_utc.timestamp(),
    )
