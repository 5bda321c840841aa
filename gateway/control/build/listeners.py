"""`listeners` of the config into what the server works with.

Rule: the TLS layer is given the roots of every trust domain and client authority together: it keeps strangers out, and
which authority may vouch for whom is judged by `authenticate` alone.
Invariant: building opens no socket and changes no context that is at work.
"""

from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.schema import Config, Listener, ListenerTls
from gateway.control.build.accept import names_of
from gateway.kernel.patterns.blocks import InBlocks, compile_blocks
from gateway.kernel.x509.leaf import UNREADABLE
from gateway.kernel.x509.trust import Trust
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.server.settings import CertificateFiles, Limits, Redirect, TlsSettings
from gateway.server.tls import Contexts, TlsUnusable
from gateway.stages.authenticate.evidence import CertificateJudge


def build_contexts(config: Config, trust: Trust) -> dict[str, Contexts | None]:
    """Fresh TLS contexts by listener; None for those without TLS. Raises TlsUnusable."""
    roots = client_roots(trust)
    return {
        name: Contexts(tls_settings(listener.tls, roots)) if listener.tls is not None else None
        for name, listener in config.listeners.items()
    }


def client_roots(trust: Trust) -> tuple[bytes, ...]:
    """The roots of everyone who may vouch for a client, DER."""
    authorities = [*trust.domains.values(), *(client.authority for client in trust.client_authorities)]
    anchors = dict.fromkeys(anchor for authority in authorities for anchor in authority.anchors)
    return tuple(anchor.public_bytes(Encoding.DER) for anchor in anchors)


def check_dates(fresh: Contexts, at_work: Contexts | None, now: float) -> None:
    """Raises TlsUnusable for certificates out of date, unless those at work are no better."""
    fault = _out_of_date(fresh, now)
    if fault is not None and at_work is not None and _out_of_date(at_work, now) is None:
        raise TlsUnusable(fault)


def _out_of_date(contexts: Contexts, now: float) -> str | None:
    for files in contexts.settings.certificates:
        if now > files.not_after:
            return f"{files.certificate}: the certificate has expired"
        if now < files.not_before:
            return f"{files.certificate}: the certificate is not valid yet"
    return None


def expired(judge: CertificateJudge, chain: tuple[bytes, ...], now: float) -> bool:
    """Whether a full handshake would end for a chain that came with a resumed session.

    Under the same roots its dates alone can have changed; all else that is wrong with it the request is told.
    """
    try:
        judge.judge(chain, now)
    except Refused as refused:
        return refused.reason is Reason.CERTIFICATE_EXPIRED or _ended(chain[0], now)
    return False


def tls_settings(tls: ListenerTls, roots: tuple[bytes, ...] = ()) -> TlsSettings:
    """The settings of one `tls` mapping, the admin address's too. Raises TlsUnusable."""
    return TlsSettings(
        tuple(_files(pair.certificate, pair.key) for pair in tls.pairs),
        tls.client_certificate or "none",
        roots,
        tls.min_version,
        tls.resumption,
    )


def listener_limits(listener: Listener, workers: int) -> Limits:
    """The limits of one listener in one of so many processes: connections are shared out evenly, rounded up."""
    limits = listener.limits
    return Limits(
        limits.header_bytes,
        limits.headers,
        limits.header_timeout,
        limits.idle_timeout,
        -(-limits.connections // workers),
        limits.min_data_rate,
        limits.data_rate_window,
    )


def listener_proxies(listener: Listener) -> InBlocks | None:
    """Who speaks the PROXY protocol on a listener; None for nobody."""
    return compile_blocks(listener.trusted_proxies) if listener.proxy_protocol else None


def listener_redirect(config: Config, listener: Listener, ports: Mapping[str, int]) -> Redirect | None:
    """Where a redirecting listener points: the first TLS listener, by the `ports` that were really opened."""
    if listener.redirect is None:
        return None
    first = next((name for name, other in config.listeners.items() if other.tls is not None), None)
    return Redirect(ports[first] if first is not None else 443, listener.acme)


def certificate_files(listener: Listener) -> list[Path]:
    """Every file that a listener's contexts are made of, besides the roots."""
    pairs = listener.tls.pairs if listener.tls is not None else ()
    return [path for pair in pairs for path in (pair.certificate, pair.key)]


def _ended(leaf: bytes, now: float) -> bool:
    try:
        return x509.load_der_x509_certificate(leaf).not_valid_after_utc.timestamp() < now
    except UNREADABLE:
        return True


def _files(certificate: Path, key: Path) -> CertificateFiles:
    try:
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = names_of(leaf)
    except OSError as error:
        raise TlsUnusable(f"{certificate}: {error.strerror}") from error
    except ValueError as error:
        raise TlsUnusable(f"{certificate}: not a PEM certificate") from error
    ends = leaf.not_valid_after_utc.timestamp()
    return CertificateFiles(certificate, key, names, leaf.not_valid_before_utc.timestamp(), ends)
