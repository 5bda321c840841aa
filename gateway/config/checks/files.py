"""The files that a configuration names: they exist, hold what they should, and fit each other.

cryptography is imported only where a file names certificates.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import NamedTuple

from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_secure_url
from gateway.config.devices import read_devices
from gateway.config.schema import Config, ListenerTls, OAuthClient, RevocationLists
from gateway.config.schema.scalars import why
from gateway.config.tree import Path
from gateway.kernel.patterns.hosts import parse_route_host
from gateway.kernel.strict import parse_object
from gateway.model.place import Place

_DAY = 86400.0
_SOON = 30 * _DAY  # seconds; or the last third of its life, whichever is shorter
_VERY_SOON = 7 * _DAY  # for what lives a day and more: what lives shorter is renewed by a machine


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a certificate of a file ends."""

    path: Path  # in the configuration
    where: Place  # of the mapping that names it
    file: FilePath
    role: str  # edge, identity, bundle
    name: str
    not_before: float
    not_after: float

    def near(self, now: float) -> bool:
        """True in the last third of its life, at most 30 days before its end; a week before it whatever its life."""
        life, left = self.not_after - self.not_before, self.not_after - now
        return left < min(_SOON, life / 3) or (life >= _DAY and left < _VERY_SOON)


def check(config: Config, report: Report, now: float) -> None:
    """Every file, and the dates of every certificate."""
    for path, (_, certificate, key) in _pairs(config):
        both = [_readable(report, (*path, "certificate"), certificate), _readable(report, (*path, "key"), key)]
        if all(both):
            _fits(report, path, certificate, key)
    for name, domain in config.trust_domains.items():
        _authority(report, ("trust_domains", name), name, domain.bundle.file, domain.crl)
        _fetched(report, ("trust_domains", name, "crl"), domain.crl)
        _bundle(report, ("trust_domains", name, "ocsp", "ca"), domain.ocsp.ca if domain.ocsp is not None else None)
        _bundle(report, ("trust_domains", name, "bundle", "ca"), domain.bundle.ca)
        _bundle(report, ("trust_domains", name, "bundle", "bootstrap"), domain.bundle.bootstrap)
    for name, authority in config.client_authorities.items():
        _authority(report, ("client_authorities", name), name, authority.bundle, authority.crl)
        _fetched(report, ("client_authorities", name, "crl"), authority.crl)
        asked = authority.ocsp
        _bundle(report, ("client_authorities", name, "ocsp", "ca"), asked.ca if asked is not None else None)
    for name in config.trust_domains:
        _named(report, ("trust_domains", name), name)
    for name, client in config.client_authorities.items():
        report.each(("client_authorities", name, "names"), client.names, _dns_pattern)
    for name, issuer in config.issuers.items():
        if issuer.jwks.file is not None:
            _key_set(report, ("issuers", name, "jwks"), issuer.jwks.file)
        _bundle(report, ("issuers", name, "ca"), issuer.ca)
        if issuer.introspection is not None:
            _client(report, ("issuers", name, "introspection"), issuer.introspection)
    for name, upstream in config.upstreams.items():
        _bundle(report, ("upstreams", name, "tls", "ca"), upstream.tls.ca)
        if upstream.token_exchange is not None:
            _client(report, ("upstreams", name, "token_exchange"), upstream.token_exchange)
    for name, posture in config.posture.items():
        _bundle(report, ("posture", name, "source", "ca"), posture.source.ca)
        if posture.source.file is not None:
            _judged(report, ("posture", name, "source", "file"), partial(read_devices, posture.source.file))
    if config.audit.signing_key is not None and _readable(report, ("audit", "signing_key"), config.audit.signing_key):
        _judged(report, ("audit", "signing_key"), partial(_signing_key, config.audit.signing_key))
    for name, key in config.grants.signers.items() if config.grants is not None else ():
        if _readable(report, ("grants", "signers", name), key):
            _judged(report, ("grants", "signers", name), partial(_public_key, key))
    for expiry in expiries(config):
        if expiry.not_after <= now:
            report.warn(expiry.path, f"{expiry.file.name}: the certificate has expired", "replace it")
        elif expiry.not_before > now:
            report.warn(expiry.path, f"{expiry.file.name}: the certificate is not valid yet", "check the clock")
        elif expiry.near(now):
            report.warn(
                expiry.path, f"{expiry.file.name}: the certificate expires in {_roughly(expiry.not_after - now)}"
            )


def _roughly(seconds: float) -> str:
    for unit, factor in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * factor:
            return f"{int(seconds // factor)} {unit}"
    return f"{int(seconds)} seconds"


def expiries(config: Config) -> Iterator[Expiry]:
    """Every certificate that the configuration names and that can be read."""
    for path, pair in _pairs(config):
        role = "identity" if path == ("identity",) else "edge"
        name = str(path[1]) if len(path) > 1 else role
        yield from _dates((*path, "certificate"), pair.where, pair.certificate, role, name)
    for name, domain in config.trust_domains.items():
        for key, file in (("", domain.bundle.file), ("ca", domain.bundle.ca), ("bootstrap", domain.bundle.bootstrap)):
            if file is not None:
                path = ("trust_domains", name, "bundle", key) if key else ("trust_domains", name, "bundle")
                yield from _dates(path, domain.where, file, "bundle", name)
    for name, authority in config.client_authorities.items():
        yield from _dates(("client_authorities", name, "bundle"), authority.where, authority.bundle, "bundle", name)
    for name, issuer in config.issuers.items():
        if issuer.ca is not None:
            yield from _dates(("issuers", name, "ca"), issuer.where, issuer.ca, "bundle", name)
    for name, upstream in config.upstreams.items():
        if upstream.tls.ca is not None:
            yield from _dates(("upstreams", name, "tls", "ca"), upstream.tls.where, upstream.tls.ca, "bundle", name)


def _dates(path: Path, where: Place, file: FilePath, role: str, name: str) -> Iterator[Expiry]:
    from gateway.kernel.x509.trust import parse_certificates

    try:
        certificates = parse_certificates(file.read_bytes())
    except (OSError, ValueError):
        return  # reported where the file itself is judged
    for certificate in certificates:
        begins = certificate.not_valid_before_utc.timestamp()
        yield Expiry(path, where, file, role, name, begins, certificate.not_valid_after_utc.timestamp())


class _Pair(NamedTuple):
    """A certificate and its key, and the mapping that names them."""

    where: Place
    certificate: FilePath
    key: FilePath


def _pairs(config: Config) -> Iterator[tuple[Path, _Pair]]:
    """Certificate and key of each listener, of the admin address and of the identity."""
    for name, listener in config.listeners.items():
        if listener.tls is not None:
            yield from _tls_pairs(("listeners", name, "tls"), listener.tls)
    if config.admin is not None and config.admin.tls is not None:
        yield from _tls_pairs(("admin", "tls"), config.admin.tls)
    identity = config.identity
    if identity is not None and identity.files is not None:
        yield ("identity",), _Pair(identity.where, *identity.files)


def _tls_pairs(path: Path, tls: ListenerTls) -> Iterator[tuple[Path, _Pair]]:
    if tls.certificate is not None and tls.key is not None:
        yield path, _Pair(tls.where, tls.certificate, tls.key)
    for index, pair in enumerate(tls.certificates):
        yield (*path, "certificates", index), _Pair(pair.where, pair.certificate, pair.key)


def _readable(report: Report, path: Path, file: FilePath) -> bool:
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except (OSError, ValueError) as error:
        report.error(path, f"cannot read {file}: {why(error)}")
        return False
    return True


def _judged(report: Report, path: Path, judge: Callable[[], object]) -> None:
    try:
        judge()
    except OSError as error:
        report.error(path, f"cannot read {error.filename}: {why(error)}")
    except ValueError as error:
        report.error(path, str(error))


def _fits(report: Report, path: Path, certificate: FilePath, key: FilePath) -> None:
    from gateway.kernel.x509.keypair import check_key_pair
    from gateway.kernel.x509.trust import parse_certificates

    try:
        parse_certificates(certificate.read_bytes())
    except ValueError as error:
        report.error((*path, "certificate"), f"{certificate}: {error}")
        return
    _judged(report, (*path, "key"), lambda: check_key_pair(certificate, key))


def _client(report: Report, path: Path, asked: OAuthClient) -> None:
    """The key of assertions, or the certificate and its key."""
    certificate, key = asked.client_certificate, asked.client_key
    readable = [key is None or _readable(report, (*path, "client_key"), key)]
    readable.append(certificate is None or _readable(report, (*path, "client_certificate"), certificate))
    if not all(readable) or key is None:
        return
    if asked.method == "private_key_jwt":
        from gateway.kernel.signing_key import read_signing_key

        try:
            read_signing_key(key.read_bytes())
        except ValueError as error:
            report.error((*path, "client_key"), f"{key} {error}")
    elif certificate is not None:
        from gateway.kernel.x509.keypair import check_key_pair

        _judged(report, (*path, "client_certificate"), lambda: check_key_pair(certificate, key))


def _fetched(report: Report, path: Path, lists: RevocationLists | None) -> None:
    """A list by URL."""
    if lists is None:
        return
    if (lists.file is None) == (lists.url is None) and not report.lost(lists.where, "file", "url"):
        report.error(path, "a list lies in a file or is fetched from a url", "write one of both")
    if lists.url is not None:
        report.one((*path, "url"), lists.url, judge_secure_url)
    _bundle(report, (*path, "ca"), lists.ca)


def _authority(report: Report, path: Path, name: str, bundle: FilePath | None, lists: RevocationLists | None) -> None:
    """`bundle`: None where it lies in no file."""
    from gateway.kernel.x509.trust import make_authority, parse_certificates

    crl = lists.file if lists is not None else None
    listed = crl is not None and _readable(report, (*path, "crl"), crl)
    if bundle is None or not _readable(report, (*path, "bundle"), bundle):
        return
    try:
        parse_certificates(bundle.read_bytes())
    except ValueError as error:
        report.error((*path, "bundle"), f"{bundle}: {error}")
        return
    if crl is None or not listed:
        return
    try:
        make_authority(name, bundle.read_bytes(), crl.read_bytes())
    except ValueError as error:
        report.error((*path, "crl"), f"{crl}: {error}")


def _bundle(report: Report, path: Path, file: FilePath | None) -> None:
    if file is None or not _readable(report, path, file):
        return
    from gateway.kernel.x509.trust import parse_certificates

    try:
        parse_certificates(file.read_bytes())
    except ValueError as error:
        report.error(path, f"{file}: {error}")


def _named(report: Report, path: Path, name: str) -> None:
    from gateway.kernel.x509.spiffe import check_trust_domain

    try:
        check_trust_domain(name)
    except ValueError as error:
        report.error_at_key(path, f"{name!r}: {error}")


def _dns_pattern(pattern: str) -> None:
    """An exact name, or `*.suffix`: which names an authority may vouch for (contract section 2)."""
    kind, _ = parse_route_host(pattern)
    if kind == "any" or "[" in pattern:
        raise ValueError(f"{pattern!r}: write a DNS name, or *.suffix for those below it")


def _key_set(report: Report, path: Path, file: FilePath) -> None:
    if not _readable(report, path, file):
        return
    try:
        held = parse_object(file.read_bytes())
    except ValueError as error:
        report.error(path, f"{file} is no key set: {error}")
        return
    keys = held.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) and "kty" in key for key in keys):
        report.error(path, f'{file} is no key set: write {{"keys": [...]}} with at least one key (RFC 7517)')


def _signing_key(file: FilePath) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{file} holds no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{file} holds another kind of key: an Ed25519 key signs checkpoints")


def _public_key(file: FilePath) -> None:
    from gateway.kernel.ed25519 import read_public_key

    read_public_key(file)
