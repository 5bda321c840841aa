"""TLS contexts out of certificates in memory, for test peers on either side.

Rule: a context trusts exactly what it was given, never the system's roots.
Invariant: keys lie on disk only while OpenSSL reads them, in a folder of their owner's.
"""

import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gateway.testing.ca import Authority, Issued


def server_context(
    issued: Issued,
    trust: Sequence[Authority] = (),
    *,
    client_certificate: ssl.VerifyMode = ssl.CERT_REQUIRED,
    alpn: Sequence[str] = (),
    max_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """A server's context; with `trust` it asks for client certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _fill(context, issued, trust, alpn, max_version)
    if trust:
        context.verify_mode = client_certificate
    return context


def client_context(
    trust: Sequence[Authority],
    issued: Issued | None = None,
    *,
    check_hostname: bool = True,
    alpn: Sequence[str] = (),
    max_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """A client's context; without `trust` it believes any server (for peers whose client is not under test)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_hostname and bool(trust)
    if not trust:
        context.verify_mode = ssl.CERT_NONE
    _fill(context, issued, trust, alpn, max_version)
    return context


def _fill(
    context: ssl.SSLContext,
    issued: Issued | None,
    trust: Sequence[Authority],
    alpn: Sequence[str],
    max_version: ssl.TLSVersion,
) -> None:
    if issued is not None:
        with tempfile.TemporaryDirectory(prefix="gateway-testing-") as directory:
            files = issued.write(Path(directory), "pair")
            context.load_cert_chain(files.certificate, files.key)
    for authority in trust:
        context.load_verify_locations(cadata=authority.der)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    context.minimum_version = min(ssl.TLSVersion.TLSv1_2, max_version)
    context.maximum_version = max_version
