"""Hostile client certificates (security.md section 2), each beside one that differs only in what is attacked."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway.kernel.x509.trust import ClientAuthority, Trust, make_authority
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate import RouteCredentials
from gateway.stages.authenticate.authenticators.certificate import CertificateAuthenticator
from gateway.testing.ca import CLIENT_AUTH, SERVER_AUTH, Authority, Issued
from gateway.testing.issuer import Issuer
from gateway.testing.tls import client_context, server_context
from tests.stages.authenticate.asking import NO_TRUST, PLAIN, Held, ask, reason, request, stage, trust, trusted

Sent: TypeAlias = Issued | tuple[bytes, ...]
ID = "spiffe://cluster.local/ns/default/sa/web"
CLUSTER = Authority("cluster.local")
PARTNER = Authority("partner.example")
UNTRUSTED, EXPIRED = Reason.CERTIFICATE_UNTRUSTED, Reason.CERTIFICATE_EXPIRED
REVOKED, INVALID = Reason.CERTIFICATE_REVOKED, Reason.SPIFFE_ID_INVALID
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
WEB = CLUSTER.issue(uri=ID)


def now() -> float:
    return datetime.now(UTC).timestamp()


def vouching(*names: str, authority: Authority = PARTNER) -> ClientAuthority:
    """A client authority that may vouch for exactly these names."""
    return ClientAuthority(make_authority("partners", authority.pem(), None), frozenset(names).__contains__)


def with_partner(*names: str) -> Trust:
    return Trust(trust(CLUSTER).domains, (vouching(*names),))


def extension(oid: str, *, critical: bool) -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00"), critical)]


def cases(*tables: Mapping[str, tuple[Reason | None, Sent]]) -> list[Any]:
    """What `parametrize` takes: (chain, expected), under its rule's id."""
    return [
        pytest.param(sent.ders if isinstance(sent, Issued) else sent, expected, id=identifier)
        for table in tables
        for identifier, (expected, sent) in table.items()
    ]


def long_path(length: int) -> str:
    head = "spiffe://cluster.local/"
    return head + "a" * (length - len(head))


IDENTITY: dict[str, tuple[Reason | None, Sent]] = {
    "M2-accepts-one-uri": (None, WEB),
    "M2-accepts-dns-beside-it": (None, CLUSTER.issue(uri=ID, dns=["web.internal"], emails=["a@b.example"])),
    "M2-two-spiffe-ids": (INVALID, CLUSTER.issue(uris=[ID, "spiffe://cluster.local/admin"])),
    "M2-the-same-twice": (INVALID, CLUSTER.issue(uris=[ID, ID])),
    "M2-second-uri-of-another-scheme": (INVALID, CLUSTER.issue(uris=[ID, "https://web.example/"])),
    "M2-second-uri-first": (INVALID, CLUSTER.issue(uris=["https://web.example/", ID])),
    **{
        f"M3-{name}": (INVALID, CLUSTER.issue(uri=uri))
        for name, uri in {
            "nul": ID + "\0.evil",
            "nul-in-domain": "spiffe://cluster.local\0.evil/a",
            "cr": ID + "\r",
            "lf": ID + "\n",
            "crlf-header": ID + "\r\nx-user: root",
            "upper-scheme": "SPIFFE://cluster.local/a",
            "upper-domain": "spiffe://Cluster.local/a",
            "userinfo": "spiffe://root@cluster.local/a",
            "port": "spiffe://cluster.local:443/a",
            "percent": "spiffe://cluster.local/%61",
            "query": ID + "?admin",
            "fragment": ID + "#admin",
            "dot-segment": "spiffe://cluster.local/a/../b",
            "empty-segment": "spiffe://cluster.local//a",
            "trailing-slash": ID + "/",
            "no-authority": "spiffe:/cluster.local/a",
            "space": " " + ID,
            "over-2048": long_path(2049),
            "other-scheme": "https://cluster.local/a",
        }.items()
    },
    "M3-accepts-2048": (None, CLUSTER.issue(uri=long_path(2048))),
    "M4-only-a-trust-domain": (INVALID, CLUSTER.issue(uri="spiffe://cluster.local")),
    "M4-root-path": (INVALID, CLUSTER.issue(uri="spiffe://cluster.local/")),
    "M8-malformed-id-never-falls-to-dns": (INVALID, PARTNER.issue(uri="spiffe://x y", dns=["a.partner.example"])),
    "M8-common-name-is-no-identity": (UNTRUSTED, PARTNER.issue(common_name="a.partner.example")),
    "M8-common-name-spiffe": (UNTRUSTED, CLUSTER.issue(common_name=ID)),
    "M8-email-is-no-identity": (UNTRUSTED, PARTNER.issue(emails=["root@a.partner.example"])),
    "M8-accepts-a-vouched-dns-name": (None, PARTNER.issue(dns=["a.partner.example"])),
    "M8-accepts-it-in-upper-case": (None, PARTNER.issue(dns=["A.Partner.Example"])),
    "M8-name-that-it-may-not-vouch-for": (UNTRUSTED, PARTNER.issue(dns=["a.other.example"])),
    "M8-name-below-a-vouched-one": (UNTRUSTED, PARTNER.issue(dns=["x.a.partner.example"])),
    "M8-vouched-name-of-another-authority": (UNTRUSTED, CLUSTER.issue(dns=["a.partner.example"])),
    "M9-wildcard-is-no-identity": (UNTRUSTED, PARTNER.issue(dns=["*.partner.example"])),
    "M9-nul-in-a-dns-name": (UNTRUSTED, PARTNER.issue(dns=["a.partner.example\0.evil"])),
}
LEAF: dict[str, tuple[Reason | None, Sent]] = {
    "M5-ca-true": (UNTRUSTED, CLUSTER.issue(uri=ID, is_ca=True)),
    "M5-ca-true-with-its-key-usage": (UNTRUSTED, CLUSTER.issue(uri=ID, is_ca=True, key_usage=["key_cert_sign"])),
    "M5-accepts-no-basic-constraints": (None, CLUSTER.issue(uri=ID, basic_constraints=False)),
    "M5-no-key-usage": (UNTRUSTED, CLUSTER.issue(uri=ID, key_usage=None)),
    "M5-key-usage-not-critical": (UNTRUSTED, CLUSTER.issue(uri=ID, key_usage_critical=False)),
    "M5-no-digital-signature": (UNTRUSTED, CLUSTER.issue(uri=ID, key_usage=["key_encipherment"])),
    "M5-cert-sign": (UNTRUSTED, CLUSTER.issue(uri=ID, key_usage=["digital_signature", "key_cert_sign"])),
    "M5-crl-sign": (UNTRUSTED, CLUSTER.issue(uri=ID, key_usage=["digital_signature", "crl_sign"])),
    "M5-accepts-no-eku": (None, CLUSTER.issue(uri=ID, extended_key_usage=None)),
    "M5-accepts-client-auth-alone": (None, CLUSTER.issue(uri=ID, extended_key_usage=[CLIENT_AUTH])),
    "M5-server-auth-alone": (UNTRUSTED, CLUSTER.issue(uri=ID, extended_key_usage=[SERVER_AUTH])),
    "M5-dns-leaf-ca-true": (UNTRUSTED, PARTNER.issue(dns=["a.partner.example"], is_ca=True)),
    "M5-dns-leaf-server-auth": (UNTRUSTED, PARTNER.issue(dns=["a.partner.example"], extended_key_usage=[SERVER_AUTH])),
    "M11-accepts-p384": (None, CLUSTER.issue(uri=ID, algorithm="p384")),
    "M11-accepts-rsa-2048": (None, CLUSTER.issue(uri=ID, algorithm="rsa2048")),
    "M11-rsa-1024": (UNTRUSTED, CLUSTER.issue(uri=ID, algorithm="rsa1024")),
    "M12-no-key-identifiers": (UNTRUSTED, CLUSTER.issue(uri=ID, key_identifiers=False)),
    "M12-critical-extension-unknown": (
        UNTRUSTED,
        CLUSTER.issue(uri=ID, extensions=extension("1.2.3.4", critical=True)),
    ),
    "M12-accepts-an-unknown-extension": (None, CLUSTER.issue(uri=ID, extensions=extension("1.2.3.4", critical=False))),
    "M12-name-constraints-on-a-leaf": (
        UNTRUSTED,
        CLUSTER.issue(uri=ID, extensions=[(x509.NameConstraints([x509.DNSName("a")], None), True)]),
    ),
}
OUTSIDE = Authority("cluster.local")  # calls itself what it likes
BELOW = CLUSTER.intermediate()
DEAD = CLUSTER.intermediate(not_before=NOW - 3 * HOUR, not_after=NOW - HOUR)
UNABLE = CLUSTER.intermediate(key_usage=["digital_signature"])
LIMITED = Authority("cluster.local", path_length=0)
CHAIN: dict[str, tuple[Reason | None, Sent]] = {
    "M6-partner-claims-an-id-of-ours": (UNTRUSTED, PARTNER.issue(uri=ID)),
    "M6-accepts-the-partners-own": (None, PARTNER.issue(uri="spiffe://partner.example/a")),
    "M6-we-claim-an-id-of-the-partners": (UNTRUSTED, CLUSTER.issue(uri="spiffe://partner.example/a")),
    "M6-root-of-the-same-name": (UNTRUSTED, OUTSIDE.issue(uri=ID)),
    "M6-forged-signature": (UNTRUSTED, CLUSTER.issue(uri=ID, signed_by=OUTSIDE.key)),
    "M6-accepts-an-intermediate": (None, BELOW.issue(uri=ID)),
    "M6-partner-below-our-intermediates-name": (
        UNTRUSTED,
        PARTNER.intermediate(trust_domain="cluster.local").issue(uri=ID),
    ),
    "M6-a-leaf-signs-a-leaf": (UNTRUSTED, Issued(CLUSTER.issue(uri=ID, signed_by=WEB.key).cert, WEB.key, (WEB.cert,))),
    "M6-intermediate-that-may-not-sign": (UNTRUSTED, UNABLE.issue(uri=ID)),
    "M7-domain-without-a-bundle": (UNTRUSTED, CLUSTER.issue(uri="spiffe://other.example/a")),
    "M7-longer-domain": (UNTRUSTED, CLUSTER.issue(uri="spiffe://cluster.local.evil/a")),
    "M16-accepts-in-date": (None, CLUSTER.issue(uri=ID, not_after=NOW + HOUR)),
    "M16-expired": (EXPIRED, CLUSTER.issue(uri=ID, not_after=NOW - HOUR)),
    "M16-expired-intermediate": (EXPIRED, DEAD.issue(uri=ID)),
    "M16-expired-and-of-a-stranger": (UNTRUSTED, OUTSIDE.issue(uri=ID, not_after=NOW - HOUR)),
    "M16-not-yet-valid": (UNTRUSTED, CLUSTER.issue(uri=ID, not_before=NOW + HOUR)),
    "M1-not-der": (UNTRUSTED, (b"no certificate",)),
    "M1-junk-behind-the-leaf": (UNTRUSTED, (WEB.der, b"no certificate")),
    "M6-too-many-sent": (UNTRUSTED, (WEB.der, *[BELOW.der] * 13)),
    "M6-accepts-more-than-needed": (None, (WEB.der, PARTNER.der, BELOW.der)),
}
TRUST = Trust(trust(CLUSTER, PARTNER).domains, (vouching("a.partner.example"),))


@pytest.mark.parametrize(("sent", "expected"), cases(IDENTITY, LEAF, CHAIN))
async def test_certificate(sent: tuple[bytes, ...], expected: Reason | None) -> None:
    assert await reason(stage(certificates=TRUST), request(chain=sent, now=now())) is expected


def odd_certificate(version_1: bool = False, serial_zero: bool = False, sha1: bool = False) -> bytes:
    """A leaf with what `cryptography` does not build, by changing its bytes and signing them again."""
    built = CLUSTER.issue(uri=ID)
    tbs = bytearray(built.cert.tbs_certificate_bytes)
    if serial_zero:
        serial = built.cert.serial_number.to_bytes((built.cert.serial_number.bit_length() + 8) // 8)
        at = tbs.index(serial)
        tbs[at : at + len(serial)] = bytes(len(serial))
    if version_1:
        tbs[tbs.index(b"\xa0\x03\x02\x01\x02") + 4] = 0
    key = CLUSTER.key
    from cryptography.hazmat.primitives.asymmetric import ec

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(bytes(tbs), ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    bits = b"\x03" + bytes([len(signature) + 1]) + b"\0" + signature
    body = bytes(tbs) + algorithm + bits
    return b"\x30\x82" + len(body).to_bytes(2) + body


@pytest.mark.parametrize(
    ("der", "expected"),
    [
        pytest.param(odd_certificate(), None, id="M12-accepts-signed-again-unchanged"),
        pytest.param(odd_certificate(version_1=True), UNTRUSTED, id="M12-version-1"),
        pytest.param(odd_certificate(serial_zero=True), UNTRUSTED, id="M12-serial-zero"),
    ],
)
async def test_what_openssl_lets_through(der: bytes, expected: Reason | None) -> None:
    assert await reason(stage(certificates=TRUST), request(chain=(der,), now=now())) is expected


async def handshake(client: Issued, *bundles: Authority) -> tuple[bytes, ...]:
    """What a server that pools these bundles, as OpenSSL must, reads of the client after a real handshake."""
    served = CLUSTER.issue(dns=["localhost"])
    seen: asyncio.Future[tuple[bytes, ...]] = asyncio.get_running_loop().create_future()

    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        sent: list[Any] = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
        seen.set_result(tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in sent))
        writer.close()

    async with await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=server_context(served, bundles)) as server:
        port = server.sockets[0].getsockname()[1]
        context = client_context([CLUSTER], client)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        sent = await asyncio.wait_for(seen, 5)
        writer.close()
    return sent


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        pytest.param(lambda: CLUSTER.issue(uri=ID), None, id="M6-accepts-ours"),
        pytest.param(lambda: BELOW.issue(uri=ID), None, id="M6-accepts-ours-below-an-intermediate"),
        pytest.param(lambda: PARTNER.issue(uri=ID), UNTRUSTED, id="M6-pooled-roots-let-the-partner-in"),
        pytest.param(lambda: CLUSTER.issue(uri=ID + "\0x"), INVALID, id="M3-nul-survives-the-handshake"),
        pytest.param(lambda: CLUSTER.issue(uri=ID + "\r\nx: y"), INVALID, id="M3-crlf-survives-the-handshake"),
        pytest.param(lambda: CLUSTER.issue(uri=ID, key_usage=None), UNTRUSTED, id="M5-no-key-usage-survives-it"),
    ],
)
async def test_after_a_real_handshake(client: Callable[[], Issued], expected: Reason | None) -> None:
    sent = await handshake(client(), CLUSTER, PARTNER)
    assert await reason(stage(certificates=TRUST), request(chain=sent, now=now())) is expected


async def test_M13_without_a_certificate_nobody_is_somebody() -> None:
    public = RouteCredentials(public=True, ignored=False, certificate=False, audiences=None)
    answer = await ask(stage(certificates=TRUST, route=public), request(now=now()))
    assert isinstance(answer, Principal)
    assert answer.workload is None
    assert answer.anonymous
    assert await reason(stage(certificates=TRUST), request(now=now())) is Reason.CREDENTIALS_MISSING


async def test_M13_a_required_certificate_is_not_replaced_by_a_token() -> None:
    issuer = Issuer(clock=now)
    required = RouteCredentials(public=False, ignored=False, certificate=True, audiences=None)
    judged = stage([trusted(issuer)], TRUST, required)
    token = f"Bearer {issuer.token()}"
    assert await reason(judged, request(token, now=now())) is Reason.CERTIFICATE_REQUIRED
    assert await reason(judged, request(token, WEB.ders, now=now())) is None


class Revoking:
    """A source of trust whose revocation list a test replaces."""

    def __init__(self, lists: bytes | None) -> None:
        self.publish(lists)

    def publish(self, lists: bytes | None) -> None:
        self.current = Trust({"cluster.local": make_authority("cluster.local", CLUSTER.pem(), lists)}, ())


@pytest.mark.parametrize("resumed", [False, True])
async def test_M14_a_revoked_certificate_is_refused_at_the_next_request(resumed: bool) -> None:
    """The connection is the same, and whether its session was resumed plays no part."""
    source = Revoking(CLUSTER.crl())
    judged = stage(judge=CertificateAuthenticator(source))
    ctx = request(chain=WEB.ders, now=now(), resumed=resumed)
    assert await reason(judged, ctx) is None
    source.publish(CLUSTER.crl([WEB], number=2))
    assert await reason(judged, ctx) is REVOKED
    source.publish(CLUSTER.crl(number=3))
    assert await reason(judged, ctx) is None


async def test_M14_a_root_that_is_gone_is_gone_at_the_next_request() -> None:
    source = Held(trust(CLUSTER))
    judged = stage(judge=CertificateAuthenticator(source))
    ctx = request(chain=WEB.ders, now=now())
    assert await reason(judged, ctx) is None
    source.current = trust(Authority("cluster.local"))
    assert await reason(judged, ctx) is UNTRUSTED
    source.current = NO_TRUST
    assert await reason(judged, ctx) is UNTRUSTED


async def test_M16_a_certificate_ends_while_its_connection_lasts() -> None:
    short = CLUSTER.issue(uri=ID, not_after=NOW + HOUR)
    judged = stage(certificates=TRUST)
    assert await reason(judged, request(chain=short.ders, now=now())) is None
    last = (NOW + HOUR).timestamp()
    assert await reason(judged, request(chain=short.ders, now=last)) is None
    assert await reason(judged, request(chain=short.ders, now=last + 1)) is EXPIRED


def lists(**changes: Any) -> Callable[[], bytes]:
    return lambda: CLUSTER.crl(**changes)


DELTA = (x509.DeltaCRLIndicator(1), True)
INDIRECT = (x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True)
USERS_ONLY = (x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True)
STRANGE = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lists(), None, id="M17-accepts-a-list-without-it"),
        pytest.param(lists(revoked=[WEB]), REVOKED, id="M17-revoked"),
        pytest.param(lists(next_update=NOW - HOUR), UNTRUSTED, id="M17-out-of-date"),
        pytest.param(lists(next_update=NOW - HOUR, revoked=[WEB]), REVOKED, id="M17-out-of-date-and-revoked"),
        pytest.param(lists(last_update=NOW + HOUR), UNTRUSTED, id="M17-from-the-future"),
        pytest.param(PARTNER.crl, UNTRUSTED, id="M17-another-authoritys-list"),
    ],
)
async def test_revocation(make: Callable[[], bytes], expected: Reason | None) -> None:
    judged = stage(judge=CertificateAuthenticator(Revoking(make())))
    assert await reason(judged, request(chain=WEB.ders, now=now())) is expected


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lists(signed_by=PARTNER.key), id="M17-forged"),
        pytest.param(lists(extensions=[DELTA]), id="M17-delta"),
        pytest.param(lists(extensions=[INDIRECT]), id="M17-indirect"),
        pytest.param(lists(extensions=[USERS_ONLY]), id="M17-for-a-part"),
        pytest.param(lists(extensions=[STRANGE]), id="M17-critical-and-unknown"),
        pytest.param(lambda: b"-----BEGIN X509 CRL-----\nMIIB", id="M18-half-written"),
        pytest.param(lambda: b"", id="M18-empty"),
    ],
)
def test_a_list_that_cannot_be_used_is_never_taken(make: Callable[[], bytes]) -> None:
    with pytest.raises(ValueError, match="list"):
        Revoking(make())


async def test_M17_every_certificate_below_the_root_needs_a_list() -> None:
    leaf = BELOW.issue(uri=ID)
    both = CLUSTER.crl() + BELOW.crl()
    ctx = request(chain=leaf.ders, now=now())
    for pem, expected in (
        (both, None),
        (CLUSTER.crl(), UNTRUSTED),
        (BELOW.crl(), UNTRUSTED),
        (CLUSTER.crl([BELOW.certificate.serial_number]) + BELOW.crl(), REVOKED),
        (CLUSTER.crl() + BELOW.crl([leaf]), REVOKED),
    ):
        assert await reason(stage(judge=CertificateAuthenticator(Revoking(pem))), ctx) is expected


async def test_M17_a_list_in_der_counts_too() -> None:
    der = x509.load_pem_x509_crl(CLUSTER.crl([WEB])).public_bytes(serialization.Encoding.DER)
    judged = stage(judge=CertificateAuthenticator(Revoking(der)))
    assert await reason(judged, request(chain=WEB.ders, now=now())) is REVOKED


async def test_M17_a_verdict_ends_with_the_list_that_it_hung_on() -> None:
    judged = stage(judge=CertificateAuthenticator(Revoking(CLUSTER.crl(next_update=NOW + HOUR))))
    assert await reason(judged, request(chain=WEB.ders, now=now())) is None
    later = (NOW + HOUR).timestamp() + 1
    assert await reason(judged, request(chain=WEB.ders, now=later)) is UNTRUSTED


def test_M25_the_wire_tells_refused_certificates_apart_in_nothing() -> None:
    refused = (UNTRUSTED, EXPIRED, REVOKED, INVALID)
    assert {each.wire for each in refused} == {"certificate_untrusted"}
    assert len({each.title for each in refused}) == 1
    assert len({each.code for each in refused}) == len(refused)


async def test_a_refused_certificate_is_not_saved_by_a_token() -> None:
    issuer = Issuer(clock=now)
    judged = stage([trusted(issuer)], TRUST)
    bad = PARTNER.issue(uri=ID)
    answer = await ask(judged, request(f"Bearer {issuer.token()}", bad.ders, now=now()))
    assert isinstance(answer, Refused)
    assert answer.reason is UNTRUSTED
    assert answer.challenge is None
    both = await reason(judged, request(f"Bearer {issuer.token(exp=1)}", bad.ders, now=now()))
    assert both is Reason.TOKEN_EXPIRED
    assert await reason(stage(certificates=TRUST, route=PLAIN), request(chain=bad.ders, now=now())) is UNTRUSTED
