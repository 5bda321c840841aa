"""The TLS contexts of a listener: one for each certificate, chosen by SNI.

Rule: contexts are built and checked as a whole and never changed afterwards; a reload puts new ones in their place.
Invariant: a session is resumed under the very contexts that it began with, or not at all: no ticket goes from one
listener, certificate, bundle or revocation list to another. What is resumed is told by `TlsFacts.resumed`, brings the
chain that was sent, and is judged like any other connection.

There is no need for an SSLContext that delegates to another: our acceptor asks for the context at each connection.
"""

import ssl
import time
from typing import Any

from gateway.server.sessions import forget_sessions, keep_none, keep_sessions, order_suites
from gateway.server.settings import CertificateFiles, TlsSettings

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
# TLS 1.2 only with forward secrecy and AEAD (RFC 9325 section 4.2); the level refuses SHA-1 and RSA below 2048 bits
_CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
_SESSIONS = 2048  # kept by one listener: 12 kB each with a client certificate, 1 kB where it was resumed itself
_SESSION_SECONDS = 3600  # a session's life; and as often all end, so that a key is proved anew by who always resumes


class TlsUnusable(Exception):  # noqa: N818 - what became of the files
    """Certificates, keys or roots that no listener can be built of. The message names the file and the cause."""


_HANDSHAKE, _CERTIFICATE = 22, 11  # TLS ContentType and HandshakeType (RFC 8446 sections 5.1 and 4)
_TLS13 = 0x0304


class ServerSide(ssl.SSLObject):
    """One TLS session, with what its handshake told us: OpenSSL gives the SNI to the callback alone."""

    sni: str | None = None
    served: int = 0
    claimed: bytes = b""  # the first certificate that the client sent, DER, while the handshake is under way

    def getpeercert(self, binary_form: bool = False) -> Any:
        """The certificate as DER. Never as a mapping: its text is ambiguous, and nobody may believe it."""
        return super().getpeercert(binary_form=True) if binary_form else {}


class Contexts:
    """The contexts of one listener. `base` is the one that a connection begins with."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises TlsUnusable."""
        self.settings = settings
        self._contexts = [_context(settings, files) for files in settings.certificates]
        entries = [(name, index) for index, files in enumerate(settings.certificates) for name in files.names]
        self._by_name = dict(reversed(entries))  # of two entries with one name the first counts
        self.base = self._contexts[0]
        self.base.sslobject_class = ServerSide
        self.base.sni_callback = self._choose
        self._quiet: ssl.SSLContext | None = None  # one that overhears nothing
        if settings.client_certificate != "none":
            for context in self._contexts:
                _overhear(context)
            self._quiet = _context(settings, settings.certificates[0])
        # OpenSSL binds a session of TLS 1.3 to no server name: with several certificates there is none
        self.resumes = settings.resumption and len(self._contexts) == 1
        self.resumes = self.resumes and keep_sessions(self.base, _SESSIONS, _SESSION_SECONDS)
        if not self.resumes:
            keep_none(self.base)
        self._fresh_until = time.monotonic() + _SESSION_SECONDS

    def entry(self, name: str) -> int:
        """Which entry of `certificates` a server name is answered with: exact before wildcard, else the first."""
        index = self._by_name.get(name)
        if index is None:
            index = self._by_name.get("*." + name.partition(".")[2], 0)
        return index

    def shaken(self, session: ssl.SSLObject) -> None:
        """The handshake is done. A session that is overheard on would call back for every record that it carries."""
        if self._quiet is not None and session.context is not self._quiet:
            session.context = self._quiet  # what was agreed stands; CPython takes the callback from the context
        if self.resumes and time.monotonic() >= self._fresh_until:
            self.forget()
            self._fresh_until = time.monotonic() + _SESSION_SECONDS

    def forget(self) -> None:
        """Nobody resumes what came before.

        A context that is out of work would keep its sessions for as long as a connection of it is open.
        """
        forget_sessions(self.base)

    def _choose(self, session: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if self._quiet is not None and session.session_reused:
            session.context = self._quiet  # no certificate comes that could be overheard
        if name is None or not isinstance(session, ServerSide):
            return
        session.sni = name = name.lower()
        if len(self._contexts) > 1:
            session.served = index = self.entry(name)
            if index:
                session.context = self._contexts[index]


def _context(settings: TlsSettings, files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.set_ciphers(_CIPHERS)
    order_suites(context)
    context.options |= (
        ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    )
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, files)
    context.verify_mode = _VERIFY[settings.client_certificate]
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if settings.client_certificate != "none" and settings.roots:
        try:
            context.load_verify_locations(cadata=b"".join(settings.roots))
        except ssl.SSLError as error:
            raise TlsUnusable(f"the authorities of client certificates cannot be loaded: {error.reason}") from error
    return context


def _overhear(context: ssl.SSLContext) -> None:
    """Note the certificate that a client sends: of a handshake that fails OpenSSL itself tells nothing but the reason.

    There is no public way to it. The attribute's own setter makes an enum of each number, so it is gone around.
    """
    hook: Any = getattr(ssl._ssl._SSLContext, "_msg_callback", None)  # type: ignore[attr-defined] # noqa: SLF001
    if hook is not None:
        hook.__set__(context, _heard)


def _heard(session: object, direction: str, version: int, content: int, message: int, data: bytes) -> None:
    if message == _CERTIFICATE and content == _HANDSHAKE and direction == "read" and isinstance(session, ServerSide):
        session.claimed = first_certificate(data, version)


def first_certificate(data: bytes, version: int) -> bytes:
    """The first certificate of a Certificate message (RFC 8446 section 4.4.2, RFC 5246 section 7.4.6); b"" for none."""
    at = 4  # type and length of the message
    if version == _TLS13:
        at += 1 + data[at] if len(data) > at else 1  # certificate_request_context
    at += 3  # length of the list
    size = int.from_bytes(data[at : at + 3])
    return data[at + 3 : at + 3 + size]


def _load_pair(context: ssl.SSLContext, files: CertificateFiles) -> None:
    """Raises TlsUnusable, in one line that says which file is at fault."""
    for path in (files.certificate, files.key):
        try:
            path.read_bytes()
        except OSError as error:
            raise TlsUnusable(f"{path}: {error.strerror}") from error
    try:
        context.load_cert_chain(files.certificate, files.key, password="")  # never ask a terminal for one
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsUnusable(f"{files.key}: not the key of {files.certificate}") from error
        why = error.reason or "no usable certificate or key in PEM"
        raise TlsUnusable(f"{files.certificate}, {files.key}: {why.lower().replace('_', ' ')}") from error
