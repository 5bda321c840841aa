"""A throwaway certificate authority: good certificates by default, hostile ones on request.

Rule: what is issued without oddities passes OpenSSL's VERIFY_X509_STRICT and is a valid X509-SVID when it has one URI.
Invariant: an oddity changes what it names and nothing else, so that a refusal can have one cause only.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.testing.keys import Algorithm, PrivateKey, new_key, private_pem, read_private, write_private

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
DAY = timedelta(days=1)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Files:
    """Where a certificate (with its chain) and its key lie."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and the intermediates that are sent with it (leaf excluded, root excluded)."""

    cert: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        """The certificate alone, as DER."""
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def ders(self) -> tuple[bytes, ...]:
        """What a peer sees: leaf first, then the intermediates, each as DER."""
        return (self.der, *(c.public_bytes(serialization.Encoding.DER) for c in self.chain))

    @property
    def serial(self) -> int:
        """The serial number, as a CRL lists it."""
        return self.cert.serial_number

    def pem(self) -> bytes:
        """Leaf, then intermediates, as PEM."""
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (self.cert, *self.chain))

    def key_pem(self) -> bytes:
        """The private key as PEM."""
        return private_pem(self.key)

    def write(self, directory: Path, name: str) -> Files:
        """Write NAME.pem and NAME.key (mode 0600) into the directory, which must exist."""
        certificate = directory / f"{name}.pem"
        certificate.write_bytes(self.pem())
        return Files(certificate, write_private(directory / f"{name}.key", self.key_pem()))


class Authority:
    """A root or an intermediate of one trust domain.

    `Authority("cluster.local")` is a root; `root.intermediate()` one below it, whose leafs carry it in their chain.
    """

    def __init__(
        self,
        trust_domain: str,
        *,
        algorithm: Algorithm = "p256",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key_usage: Sequence[str] | None = ("key_cert_sign", "crl_sign"),
        parent: "Authority | None" = None,
        path_length: int | None = None,
        name_constraints: x509.NameConstraints | None = None,
    ) -> None:
        self.trust_domain = trust_domain
        self.parent = parent
        self.key = new_key(algorithm)
        kind = "root" if parent is None else "intermediate"
        self.name = _subject(f"{trust_domain} {kind} {x509.random_serial_number() & 0xFFFFFF:06x}")
        begin, end = _validity(not_before, not_after, 30 * DAY)
        builder = _builder(self.name, self.key, begin, end, parent.name if parent else self.name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        if key_usage is not None:
            builder = builder.add_extension(_key_usage(key_usage), critical=True)
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")])
        builder = builder.add_extension(san, critical=False)
        if name_constraints is not None:
            builder = builder.add_extension(name_constraints, critical=True)
        signer = parent.key if parent else self.key
        builder = _key_identifiers(builder, self.key, signer)
        self.certificate = builder.sign(signer, _digest(signer))

    @classmethod
    def load(cls, certificate: Path, key: Path) -> "Authority":
        """A root that `write` and `write_private` put on disk. Raises OSError, ValueError."""
        self = cls.__new__(cls)
        self.parent = None
        self.certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        self.name = self.certificate.subject
        self.key = read_private(key)
        if self.key.public_key() != self.certificate.public_key():
            raise ValueError(f"{key} is not the key of {certificate}")
        names = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.trust_domain = names.get_values_for_type(x509.UniformResourceIdentifier)[0].removeprefix("spiffe://")
        return self

    @property
    def root(self) -> "Authority":
        """The root above (or itself)."""
        return self.parent.root if self.parent else self

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The intermediates that a leaf of this authority is sent with."""
        return (self.certificate, *self.parent.chain) if self.parent else ()

    def pem(self) -> bytes:
        """The own certificate as PEM: a root's is the trust domain's bundle."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The own certificate as DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def write(self, directory: Path, name: str) -> Path:
        """Write the certificate (never the key) as NAME.pem; returns its path."""
        path = directory / f"{name}.pem"
        path.write_bytes(self.pem())
        return path

    def intermediate(
        self,
        *,
        trust_domain: str | None = None,
        algorithm: Algorithm = "p256",
        path_length: int | None = 0,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key_usage: Sequence[str] | None = ("key_cert_sign", "crl_sign"),
        name_constraints: x509.NameConstraints | None = None,
    ) -> "Authority":
        """An authority below this one."""
        return Authority(
            trust_domain or self.trust_domain,
            algorithm=algorithm,
            not_before=not_before,
            not_after=not_after,
            key_usage=key_usage,
            parent=self,
            path_length=path_length,
            name_constraints=name_constraints,
        )

    def issue(
        self,
        *,
        uri: str | None = None,
        uris: Sequence[str] = (),
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        emails: Sequence[str] = (),
        common_name: str | None = None,
        subject: x509.Name | None = None,
        algorithm: Algorithm = "p256",
        key: PrivateKey | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        serial: int | None = None,
        is_ca: bool = False,
        basic_constraints: bool = True,
        key_usage: Sequence[str] | None = ("digital_signature",),
        key_usage_critical: bool = True,
        extended_key_usage: Sequence[ObjectIdentifier] | None = (SERVER_AUTH, CLIENT_AUTH),
        key_identifiers: bool = True,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        signed_by: PrivateKey | None = None,
    ) -> Issued:
        """A leaf; every argument below `common_name` exists to make it odd.

        `uri` and `uris` become URI SANs as they are (NUL, upper case, several: nothing is checked); None leaves an
        extension out; `extensions` are added as (extension, critical); `signed_by` signs with a key that is not this
        authority's, under its name. A certificate lives from an hour ago to a day ahead. Raises ValueError for a
        host name in `ips`.
        """
        held = key or new_key(algorithm)
        if subject is None:
            subject = _subject(common_name)
        begin, end = _validity(not_before, not_after, DAY)
        builder = _builder(subject, held, begin, end, self.name, serial)
        if basic_constraints:
            builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        if key_usage is not None:
            builder = builder.add_extension(_key_usage(key_usage), critical=key_usage_critical)
        if extended_key_usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended_key_usage), critical=False)
        names = _alternative_names(([uri] if uri is not None else []) + list(uris), dns, ips, emails)
        if names:  # RFC 5280 section 4.2.1.6: critical where the subject is empty
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        if key_identifiers:
            builder = _key_identifiers(builder, held, self.key)
        signer = signed_by or self.key
        return Issued(builder.sign(signer, _digest(signer)), held, self.chain)

    def crl(
        self,
        revoked: Iterable[int | Issued] = (),
        *,
        last_update: datetime | None = None,
        next_update: datetime | None = None,
        signed_by: PrivateKey | None = None,
        number: int = 1,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """A revocation list as PEM, good for a day unless `next_update` says otherwise; `signed_by` forges it."""
        begin, end = _validity(last_update, next_update, DAY)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(begin)
            .next_update(end)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        for entry in revoked:
            serial = entry.serial if isinstance(entry, Issued) else entry
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begin).build()
            builder = builder.add_revoked_certificate(one)
        signer = signed_by or self.key
        return builder.sign(signer, _digest(signer)).public_bytes(serialization.Encoding.PEM)


def _subject(common_name: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "gateway testing")]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def _validity(begin: datetime | None, end: datetime | None, lifetime: timedelta) -> tuple[datetime, datetime]:
    """Both ends; what is not given hangs on the other end, so that `not_after` in the past alone is enough."""
    if begin is None:
        fresh = datetime.now(UTC) - timedelta(hours=1)  # clocks differ between machines, and tests look back
        begin = fresh if end is None or end > fresh else end - lifetime
    return begin, end if end is not None else begin + lifetime


def _builder(
    subject: x509.Name, key: PrivateKey, begin: datetime, end: datetime, issuer: x509.Name, serial: int | None = None
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _key_identifiers(builder: x509.CertificateBuilder, key: PrivateKey, signer: PrivateKey) -> x509.CertificateBuilder:
    """Subject and authority key identifier, without which a strict verifier refuses the chain."""
    subject = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return builder.add_extension(subject, critical=False).add_extension(authority, critical=False)


def _key_usage(names: Sequence[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in names for usage in _USAGES})


def _alternative_names(
    uris: Sequence[str], dns: Sequence[str], ips: Sequence[str], emails: Sequence[str]
) -> list[x509.GeneralName]:
    return [
        *(x509.UniformResourceIdentifier(u) for u in uris),
        *(x509.DNSName(d) for d in dns),
        *(x509.IPAddress(ipaddress.ip_address(i)) for i in ips),
        *(x509.RFC822Name(e) for e in emails),
    ]


def _digest(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
