"""`listeners` of the config into what the server works with.

Rule: the TLS layer is given the roots of every trust domain and client authority together: it keeps strangers out, and
which authority may vouch for whom is judged by `authenticate` alone.
Invariant: building opens no socket and changes no context that is at work.
"""

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.schema import Config, Listener, ListenerTls
from gateway.control.build.accept import dns_names
from gateway.kernel.x509.trust import Trust
from gateway.server.settings import CertificateFiles, Limits, Redirect, TlsSettings
from gateway.server.tls import Contexts, TlsUnusable


def build_contexts(config: Config, trust: Trust) -> dict[str, Contexts | None]:
    """Fresh TLS contexts by listener; None for those without TLS. Raises TlsUnusable."""
    authorities = [*trust.domains.values(), *(client.authority for client in trust.client_authorities)]
    anchors = dict.fromkeys(anchor for authority in authorities for anchor in authority.anchors)
    roots = tuple(anchor.public_bytes(Encoding.DER) for anchor in anchors)
    return {
        name: Contexts(tls_settings(listener.tls, roots)) if listener.tls is not None else None
        for name, listener in config.listeners.items()
    }


def tls_settings(tls: ListenerTls, roots: tuple[bytes, ...] = ()) -> TlsSettings:
    """The settings of one `tls` mapping, the admin address's too. Raises TlsUnusable."""
    return TlsSettings(
        tuple(CertificateFiles(pair.certificate, pair.key, _names(pair.certificate)) for pair in tls.pairs),
        tls.client_certificate or "none",
        roots,
        tls.min_version,
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
    )


def listener_redirect(config: Config, listener: Listener, ports: Mapping[str, int]) -> Redirect | None:
    """Where a redirecting listener points: the first TLS listener, by the `ports` that were really opened."""
    if listener.redirect is None:
        return None
    first = next((name for name, other in config.listeners.items() if other.tls is not None), None)
    return Redirect(ports[first] if first is not None else 443, listener.acme)


def certificate_files(config: Config) -> list[Path]:
    """Every file that a listener's contexts are made of, besides the roots."""
    pairs = [pair for listener in config.listeners.values() if listener.tls is not None for pair in listener.tls.pairs]
    return [path for pair in pairs for path in (pair.certificate, pair.key)]


def certificate_ends(config: Config) -> dict[str, float]:
    """When the first certificate of each TLS listener ends, seconds since the epoch. Raises OSError, ValueError."""
    return {
        name: min(_end(pair.certificate) for pair in listener.tls.pairs)
        for name, listener in config.listeners.items()
        if listener.tls is not None
    }


def _end(path: Path) -> float:
    leaf = x509.load_pem_x509_certificate(path.read_bytes())
    return leaf.not_valid_after_utc.astimezone(UTC).timestamp()


def _names(path: Path) -> tuple[str, ...]:
    try:
        return dns_names(path)
    except OSError as error:
        raise TlsUnusable(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise TlsUnusable(f"{path}: not a PEM certificate") from error
