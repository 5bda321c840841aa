"""Who is believed for which identities: a bundle a trust domain, a bundle a client authority.

Rule: an id is believed only if its own trust domain's bundle signed it; bundles are never pooled.
Invariant: a `Trust` never changes; a new file makes a new one, and who remembers a verdict compares by identity.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import Store

from gateway.kernel.x509.crl import BY_FILE, ListRules, RevocationList, Revocations, parse_lists, signed_by
from gateway.kernel.x509.leaf import UNREADABLE
from gateway.kernel.x509.ocsp import StatusRules
from gateway.model.noun import noun

_BEGIN = b"-----BEGIN CERTIFICATE-----"


@noun
class Authority:
    """One bundle, with the revocation lists that go with it."""

    name: str  # the trust domain, or the client authority's name in routes.yaml
    anchors: tuple[x509.Certificate, ...]
    store: Store | None  # None where the bundle is empty: everything is revoked
    revocations: Revocations | None  # None where no list is configured
    digest: str  # of all that it was made of, hex
    known: bool = True  # False: its bundle was not had yet, so nothing can be said
    status: StatusRules | None = None  # how its certificates are asked about (OCSP); None: they are not

    def __repr__(self) -> str:
        lists = "with" if self.revocations is not None else "without"
        return f"Authority({self.name!r}, {len(self.anchors)} roots, {lists} revocation lists)"


@noun
class ClientAuthority:
    """Who may vouch for certificates without a SPIFFE id, and for which names."""

    authority: Authority
    vouches: Callable[[str], bool]  # for a DNS name in lower case


@noun
class Trust:
    """Everything that client certificates are judged against."""

    domains: Mapping[str, Authority]
    client_authorities: tuple[ClientAuthority, ...]


def make_authority(
    name: str, bundle: bytes, lists: bytes | None, rules: ListRules = BY_FILE, status: StatusRules | None = None
) -> Authority:
    """An authority from its files' bytes: PEM certificates, and PEM or DER revocation lists. Raises ValueError.

    A list that claims to come from an anchor of the bundle and is not signed by it refuses the whole. `lists`: None
    where none is configured, b"" where those that are fetched are not there yet.
    """
    return authority_of(name, parse_certificates(bundle), lists, rules, status)


def authority_of(
    name: str,
    anchors: tuple[x509.Certificate, ...],
    lists: bytes | None,
    rules: ListRules = BY_FILE,
    status: StatusRules | None = None,
) -> Authority:
    """An authority from its roots, of which there may be none, and its lists as above. Raises ValueError."""
    der = [anchor.public_bytes(Encoding.DER) for anchor in anchors]
    digest = sha256(b"".join(der) + b"\0" + (lists or b"")).hexdigest()
    store = Store(list(anchors)) if anchors else None
    if lists is None:
        return Authority(name, anchors, store, None, digest, status=status)
    parsed = parse_lists(lists) if lists or not rules.fetched else ()
    check_lists(parsed, anchors)
    return Authority(name, anchors, store, Revocations(parsed, rules), digest, status=status)


def unknown_authority(name: str) -> Authority:
    """Stands for one whose bundle was not had yet."""
    return Authority(name, (), None, None, "", known=False)


def parse_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file, in order. Raises ValueError when there is none or one cannot be read."""
    if _BEGIN not in pem:
        raise ValueError("no PEM certificate (-----BEGIN CERTIFICATE-----) stands in it")
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem))
    except UNREADABLE:
        certificates = ()
    if len(certificates) != pem.count(_BEGIN):  # the library overlooks a block that is cut off
        raise ValueError("a certificate in it cannot be read: is the file whole?")
    return certificates


def check_lists(lists: tuple[RevocationList, ...], anchors: tuple[x509.Certificate, ...]) -> None:
    """Raises ValueError for a list that claims to come from one of `anchors` and is not signed by it."""
    for one in lists:
        claimed = [anchor for anchor in anchors if anchor.subject == one.issuer]
        if claimed and not any(signed_by(one, anchor) for anchor in claimed):
            raise ValueError("a revocation list is not signed by the authority whose name it bears")
