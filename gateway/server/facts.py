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
    # what SSLObject's own methods ask: each of them is a call more
    inner: Any = session._sslobj  # type: ignore[attr-defined] # noqa: SLF001
    cipher = inner.cipher()
    ours = session if isinstance(session, ServerSide) else None
    return TlsFacts(
        version=inner.version() or "",
        cipher=cipher[0] if cipher else "",
        sni=ours.sni if ours else None,
        alpn=inner.selected_alpn_protocol(),
        resumed=bool(inner.session_reused),
        served=ours.served if ours else 0,
        chain=_sent_chain(inner),
    )


def _sent_chain(inner: Any) -> tuple[bytes, ...]:
    leaf = inner.getpeercert(True)
    if leaf is None:
        return ()
    sent = inner.get_unverified_chain() or ()  # CPython puts the leaf before what OpenSSL has of a server's peer
    above = [_der(certificate) for certificate in sent[1:_LONGEST_CHAIN]]
    return (leaf, *[der for der in above if der != leaf]) if above else (leaf,)


def _der(certificate: Any) -> bytes:
    der: bytes = certificate.public_bytes(ssl._ssl.ENCODING_DER)  # type: ignore[attr-defined] # noqa: SLF001 - no public way
    return der
