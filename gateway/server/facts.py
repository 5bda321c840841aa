"""What is known of a connection and its TLS session, read once when the handshake is done.

Rule: identity is read from the DER of what the client sent, never from the `ssl` module's parsed form (which holds
ambiguous text). The chain is the one that was sent: a session that TLS 1.2 resumed has no verified one, and
authentication verifies against one trust domain's bundle, where OpenSSL saw the roots of all.
Invariant: `chain` begins with the leaf, or is empty; it is bounded.
"""

import ssl
from typing import Any

from gateway.app import plain_address
from gateway.model.connection import Connection, TlsFacts
from gateway.server.tls import ServerSide

_LONGEST_CHAIN = 10  # certificates that are looked at; a longer one fails to verify without them


def read_connection(
    listener: str, peer: tuple[str, int], local: tuple[str, int], session: ssl.SSLObject | None
) -> Connection:
    """All that is known of a connection before a byte of HTTP is read. `session`: None without TLS."""
    return Connection(listener, plain_address(peer[0]), peer[1], plain_address(local[0]), local[1], tls_facts(session))


def tls_facts(session: ssl.SSLObject | None) -> TlsFacts | None:
    """The facts of a session; None where there is no TLS."""
    if session is None:
        return None
    cipher = session.cipher()
    return TlsFacts(
        version=session.version() or "",
        cipher=cipher[0] if cipher else "",
        sni=session.sni if isinstance(session, ServerSide) else None,
        alpn=session.selected_alpn_protocol(),
        resumed=bool(session.session_reused),
        served=session.served if isinstance(session, ServerSide) else 0,
        chain=_sent_chain(session),
    )


def _sent_chain(session: ssl.SSLObject) -> tuple[bytes, ...]:
    leaf = session.getpeercert(binary_form=True)
    if leaf is None:
        return ()
    inner: Any = session if hasattr(session, "get_unverified_chain") else session._sslobj  # type: ignore[attr-defined] # noqa: SLF001 - public since Python 3.13
    sent = [_der(certificate) for certificate in (inner.get_unverified_chain() or ())[:_LONGEST_CHAIN]]
    return (leaf, *[der for der in sent if der != leaf])


def _der(certificate: Any) -> bytes:
    """3.13's public method gives bytes, the private one an object."""
    if isinstance(certificate, bytes):
        return certificate
    der: bytes = certificate.public_bytes(ssl._ssl.ENCODING_DER)  # type: ignore[attr-defined] # noqa: SLF001 - as above
    return der
