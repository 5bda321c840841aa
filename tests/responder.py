"""An OCSP responder (RFC 6960) on a real socket, right unless a test makes it odd."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from starlette.requests import Request
from starlette.responses import Response

from gateway.testing.ca import Authority, Issued
from gateway.testing.serve import serving

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
OCSP_SIGNING = ExtendedKeyUsageOID.OCSP_SIGNING


def delegate(authority: Authority, **odd: Any) -> Issued:
    """A responder's own certificate, given out by `authority` (RFC 6960 section 4.2.2.2)."""
    values: dict[str, Any] = {"common_name": "responder", "extended_key_usage": (OCSP_SIGNING,), **odd}
    return authority.issue(**values)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Said:
    """How an answer is made; each member makes it odd in one way."""

    status: ocsp.OCSPCertStatus = GOOD
    about: x509.Certificate | None = None  # in the place of the one that was asked about
    certid: HashAlgorithm = field(default_factory=SHA1)
    this_update: timedelta = timedelta(minutes=-1)  # from the moment of the answer
    next_update: timedelta = timedelta(hours=1)
    forever: bool = False  # no nextUpdate
    nonce: bytes | bool = True  # True: that of the request; False: none
    signer: Issued | None = None  # a delegate; None: the authority itself
    sent: Sequence[x509.Certificate] | None = None
    by_name: bool = False  # the responder is named, and not told by its key
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = ()


def respond(authority: Authority, certificate: x509.Certificate, nonce: bytes | None, said: Said) -> bytes:
    """An answer of `authority` about `certificate`, in DER."""
    begin = now() + said.this_update
    end = None if said.forever else now() + said.next_update
    revoked = begin if said.status is REVOKED else None
    named = said.signer.cert if said.signer is not None else authority.certificate
    key = said.signer.key if said.signer is not None else authority.key
    encoding = ocsp.OCSPResponderEncoding.NAME if said.by_name else ocsp.OCSPResponderEncoding.HASH
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            said.about or certificate, authority.certificate, said.certid, said.status, begin, end, revoked, None
        )
        .responder_id(encoding, named)
    )
    sent = said.sent if said.sent is not None else ([said.signer.cert] if said.signer is not None else [])
    if sent:
        builder = builder.certificates(sent)
    if said.nonce is not False:
        returned = nonce if said.nonce is True else said.nonce
        if returned is not None:
            builder = builder.add_extension(x509.OCSPNonce(returned), critical=False)
    for extension, critical in said.extensions:
        builder = builder.add_extension(extension, critical)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


class Responder:
    """Answers for certificates of one authority; `said` of those that are not in `by_serial`."""

    def __init__(self, authority: Authority) -> None:
        self.url = ""
        self.authority = authority
        self.certificates: dict[int, x509.Certificate] = {}
        self.said = Said()
        self.by_serial: dict[int, Said] = {}
        self.asked: list[ocsp.OCSPRequest] = []
        self.kinds: list[str] = []  # media types of what was posted
        self.answer: bytes | None = None  # in the place of any
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hold: asyncio.Event | None = None
        self.under_way = 0
        self.most = 0  # questions at once

    def issue(self, **values: Any) -> Issued:
        """A certificate that it knows."""
        issued = self.authority.issue(**values)
        self.certificates[issued.serial] = issued.cert
        return issued

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.kinds.append(request.headers["content-type"])
        asked = ocsp.load_der_ocsp_request(await request.body())
        self.asked.append(asked)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.hold is not None:
            await self.hold.wait()
        self.under_way -= 1
        answer = Response(self._answer(asked), self.status, self.headers, "application/ocsp-response")
        await answer(scope, receive, send)

    def _answer(self, asked: ocsp.OCSPRequest) -> bytes:
        if self.answer is not None:
            return self.answer
        certificate = self.certificates.get(asked.serial_number)
        if certificate is None:
            refused = ocsp.OCSPResponseStatus.UNAUTHORIZED
            return ocsp.OCSPResponseBuilder.build_unsuccessful(refused).public_bytes(Encoding.DER)
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        return respond(self.authority, certificate, nonce, self.by_serial.get(asked.serial_number, self.said))


@contextlib.asynccontextmanager
async def responder(
    authority: Authority, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Responder]:
    held = Responder(authority)
    make: Callable[[str], Any] = lambda _: held  # noqa: E731 - as `serving` wants it
    async with serving(make, host=host, tls=tls) as url:
        held.url = url
        yield held
        if held.hold is not None:
            held.hold.set()
