"""Who a backend must prove to be, and what the gateway proves to it.

Rule: the check is part of the handshake: when it fails there is no connection, so no byte of a request can leave.
Invariant: a context that stands is never changed; new certificates make a new `UpstreamTls`.
"""

import contextlib
import os
import ssl
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import Leaf, Purpose, check_usage, read_leaf, spiffe_id
from gateway.model.reason import Reason
from gateway.model.refused import Refused


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """The files of one upstream's TLS, and whom they should vouch for."""

    server_identity: str | None  # "spiffe://…", or a DNS name; None: the name in the endpoint's URL
    server_name: str | None  # SNI; None: the name in the endpoint's URL
    authorities: Path | bytes | None  # PEM, of which there may be none at all; None: the system's roots
    crl: Path | None = None
    certificate: Path | bytes | None = None  # the gateway's own, with its chain, PEM
    key: Path | bytes | None = None  # PEM
    fetched: bool = False  # the file `crl` is fetched by somebody else, and until it is there nobody is believed


class UpstreamTls:
    """One generation of an upstream's TLS: a context for each name that its endpoints go by."""

    def __init__(self, material: TlsMaterial, hosts: Iterable[str]) -> None:
        """`hosts`: of the endpoints' URLs. Raises OSError, ssl.SSLError or ValueError for files that do not do."""
        self._material = material
        self._contexts = {host: _build(material, _expected(material, host)) for host in hosts}
        self.fingerprint = _fingerprint(material)  # of all that went in: equal, when a reload changed nothing

    def context(self, host: str) -> ssl.SSLContext:
        """The context for an endpoint whose URL names `host`."""
        return self._contexts[host]

    def server_name(self, host: str) -> str:
        """What goes into SNI for an endpoint whose URL names `host`."""
        return self._material.server_name or host

    def __repr__(self) -> str:
        return f"UpstreamTls({self._material.server_identity or 'by name'}, {self.fingerprint[:12]})"


class UnreadyTls(UpstreamTls):
    """Stands for certificates that are not at hand yet: nothing can be connected to."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self._refusal = reason, detail
        self.fingerprint = f"{reason.code} {detail}"

    def context(self, host: str) -> ssl.SSLContext:
        """Raises Refused."""
        reason, detail = self._refusal
        raise Refused(reason, detail)

    def __repr__(self) -> str:
        return f"UnreadyTls({self._refusal[1]})"


class _VerifiedContext(ssl.SSLContext):
    """A client's context that knows whom it expects."""

    expected: str


class _VerifiedObject(ssl.SSLObject):
    """A TLS session whose handshake fails unless the peer proves the expected identity."""

    def do_handshake(self) -> None:
        super().do_handshake()
        context = self.context
        if not isinstance(context, _VerifiedContext):
            raise ssl.SSLCertVerificationError("the context was exchanged")
        try:
            verify_peer(self.getpeercert(binary_form=True), context.expected)
        except CertificateFault as fault:
            raise ssl.SSLCertVerificationError(1, fault.detail) from None


def verify_peer(der: bytes | None, expected: str) -> None:
    """Does the certificate, whose chain OpenSSL has verified, belong to `expected`? Raises CertificateFault.

    A SPIFFE id is compared whole (X509-SVID section 5); a name or address by RFC 9525 section 6: subject alternative
    names alone, a wildcard stands for one whole leftmost label, the common name is never looked at.
    """
    if der is None:
        raise _mismatch("the backend showed no certificate")
    leaf = read_leaf(der)
    if expected.startswith("spiffe://"):
        check_usage(leaf, Purpose.SERVER)
        found = spiffe_id(leaf)
        if found is None or found.id != expected:
            raise _mismatch("the backend's certificate holds another SPIFFE id than the one expected")
    elif is_address(expected):
        if ip_address(expected) not in _addresses(leaf):
            raise _mismatch("the backend's certificate does not hold the expected address")
    elif not any(_covers(name.lower(), expected.lower()) for name in leaf.dns_names):
        raise _mismatch("the backend's certificate does not hold the expected DNS name")


def is_address(host: str) -> bool:
    """True for an IP address, False for a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _covers(pattern: str, name: str) -> bool:
    name = name.removesuffix(".")
    if not pattern.startswith("*."):
        return pattern == name
    label, dot, rest = name.partition(".")
    return bool(label and dot) and "." in rest and pattern[2:] == rest


def _addresses(leaf: Leaf) -> set[object]:
    try:
        names = leaf.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(names.get_values_for_type(x509.IPAddress))


def _mismatch(detail: str) -> CertificateFault:
    return CertificateFault(Reason.UPSTREAM_IDENTITY, detail)


def _expected(material: TlsMaterial, host: str) -> str:
    """`server_identity`, else the name in the URL; an address there is no name, so `server_name` may say it."""
    if material.server_identity is not None:
        return material.server_identity
    return (material.server_name or host) if is_address(host) else host


def verified_context(expected: str, authorities: bytes | None = None) -> ssl.SSLContext:
    """A client's context whose handshake fails unless the peer is `expected`; `authorities`: PEM, to be believed."""
    context = _VerifiedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # replaced, not dropped: verify_peer runs in every handshake
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.expected = expected
    context.sslobject_class = _VerifiedObject
    if authorities:
        context.load_verify_locations(cadata=authorities.decode("ascii"))
    return context


def _build(material: TlsMaterial, expected: str) -> ssl.SSLContext:
    held = material.authorities
    context = verified_context(expected, held if isinstance(held, bytes) else None)
    if not isinstance(held, bytes):
        context.load_verify_locations(*_authorities(held))
    if material.crl is not None:
        if not material.fetched or material.crl.exists():
            context.load_verify_locations(cafile=material.crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if material.certificate is not None:
        with _file(material.certificate) as certificate, _file(material.key or b"") as key:
            context.load_cert_chain(certificate, key, password=b"")  # never ask on a terminal
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextlib.contextmanager
def _file(held: Path | bytes) -> Generator[Path]:
    """A path for what `ssl` reads from files alone; bytes lie in memory that no directory names."""
    if isinstance(held, Path):
        yield held
        return
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, held)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _authorities(held: Path | None) -> tuple[str | None, str | None]:
    """File and folder of roots; the system's are those compiled into OpenSSL, no environment variable moves them."""
    if held is not None:
        return str(held), None
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    return str(file) if file.is_file() else None, str(folder) if folder.is_dir() else None


def _fingerprint(material: TlsMaterial) -> str:
    digest = sha256(repr((material.server_identity, material.server_name)).encode())
    for held in (material.authorities, material.crl, material.certificate, material.key):
        absent = held is None or (material.fetched and held == material.crl and not material.crl.exists())
        data = b"" if held is None or absent else held.read_bytes() if isinstance(held, Path) else held
        digest.update(b"\0" if absent else sha256(data).digest())
    return digest.hexdigest()
