"""TLS at the door, over real handshakes: who is let in, what is known of him, and what a failure tells to whom."""

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.control.build.accept import covering
from gateway.server.settings import CertificateFiles, Limits, TlsSettings
from gateway.server.tls import Contexts, first_certificate
from gateway.testing.ca import SERVER_AUTH, Authority, Issued
from gateway.testing.tls import client_context
from gateway.testing.wait import until
from tests.serving import Spec, certificate, connected, get, roots, serving

ROOT = Authority("cluster.local")
STRANGER = Authority("cluster.local")  # the same name, another key
WEB = "spiffe://cluster.local/ns/default/sa/web"
CLIENT = ROOT.issue(uri=WEB)
PAST = datetime.now(UTC) - timedelta(days=2)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    files = ROOT.issue(dns=["localhost", "edge.example"]).write(tmp_path_factory.mktemp("edge"), "edge")
    return certificate(files, "localhost", "edge.example")


def tls(*files: CertificateFiles, mode: str = "required", version: str = "1.3") -> TlsSettings:
    return TlsSettings(files, mode, roots(ROOT), version)  # type: ignore[arg-type] # words from the tables below


async def ask(port: int, context: ssl.SSLContext, name: str = "localhost", host: str | None = None) -> int:
    """The status of one request over a connection of its own. Raises OSError where the handshake fails."""
    async with connected(port, context, name) as client:
        await client.send(get("/", host=host or name))
        return (await client.answer()).status


async def refused(port: int, context: ssl.SSLContext, name: str = "localhost") -> bool:
    """True when no HTTP answer came. (In TLS 1.3 a client learns after its own handshake that it was refused.)"""
    try:
        await ask(port, context, name)
    except (OSError, asyncio.IncompleteReadError):
        return True
    return False


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        pytest.param(None, "certificate_required", id="M13-none-sent"),
        pytest.param(STRANGER.issue(uri=WEB), "certificate_untrusted", id="M13-M25-unknown-authority"),
        pytest.param(ROOT.issue(uri=WEB, not_after=PAST), "certificate_expired", id="M13-M25-expired"),
        pytest.param(
            ROOT.issue(uri=WEB, not_before=datetime.now(UTC) + timedelta(days=1)),
            "certificate_untrusted",
            id="M13-not-yet-valid",
        ),
        pytest.param(ROOT.issue(uri=WEB, signed_by=STRANGER.key), "certificate_untrusted", id="M13-forged-signature"),
        pytest.param(ROOT.issue(uri=WEB, key_identifiers=False), "certificate_untrusted", id="M12-no-key-identifiers"),
        pytest.param(
            ROOT.issue(uri=WEB, extended_key_usage=[SERVER_AUTH]), "certificate_untrusted", id="M13-server-usage-only"
        ),
        pytest.param(ROOT.issue(uri=WEB), "", id="M13-good"),
        pytest.param(ROOT.intermediate().issue(uri=WEB), "", id="M13-good-with-intermediate"),
    ],
)
async def test_required_lets_in_only_whom_a_configured_authority_vouches_for(
    edge: CertificateFiles, client: Issued | None, reason: str
) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        port = gateway.ports["edge"]
        assert await refused(port, client_context([ROOT], client)) is bool(reason)
        await until(lambda: gateway.handshakes)
        assert [found for _, found, _ in gateway.handshakes] == [reason]
        assert len(gateway.seen) == (0 if reason else 1)
        assert await ask(port, client_context([ROOT], CLIENT)) == 200  # the door still works


async def test_M13_optional_knows_no_certificate_from_a_bad_one(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge, mode="optional"))) as gateway:
        port = gateway.ports["edge"]
        assert await ask(port, client_context([ROOT])) == 200
        assert await ask(port, client_context([ROOT], CLIENT)) == 200
        assert await refused(port, client_context([ROOT], STRANGER.issue(uri=WEB)))
        facts = [seen.tls for seen in gateway.seen if seen.tls is not None]
        assert facts[0].chain == ()
        assert [fact.leaf for fact in facts] == [None, CLIENT.der]


async def test_M13_none_asks_for_no_certificate(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge, mode="none"))) as gateway:
        assert await ask(gateway.ports["edge"], client_context([ROOT], STRANGER.issue(uri=WEB))) == 200
        (seen,) = gateway.seen
        assert seen.tls is not None
        assert seen.tls.chain == ()


async def test_M25_every_refused_certificate_looks_alike_to_the_client(edge: CertificateFiles) -> None:
    """A closed connection after the client's own handshake, whatever was wrong; the reasons stay here."""
    seen: list[str] = []
    clients = [STRANGER.issue(uri=WEB), ROOT.issue(uri=WEB, not_after=PAST), ROOT.issue(uri=WEB, key_identifiers=False)]
    async with serving(Spec(tls=tls(edge))) as gateway:
        for client in clients:
            async with connected(gateway.ports["edge"], client_context([ROOT], client)) as connection:
                with contextlib.suppress(ConnectionError):
                    await connection.send(get())
                try:
                    seen.append(repr(await connection.all()))
                except ConnectionError as error:
                    seen.append(type(error).__name__)
        await until(lambda: len(gateway.handshakes) == 3)
        assert set(seen) <= {"b''", "ConnectionResetError"}
        assert gateway.reasons == ["certificate_untrusted", "certificate_expired", "certificate_untrusted"]
        assert gateway.seen == []


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_M25_who_was_refused_is_told_and_which_name_was_asked_for(edge: CertificateFiles, version: str) -> None:
    stranger = STRANGER.intermediate().issue(uri=WEB)
    async with serving(Spec(tls=tls(edge, version="1.2"))) as gateway:
        last = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
        for client in (stranger, None, CLIENT):
            context = client_context([ROOT], client)
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, last
            assert await refused(gateway.ports["edge"], context, "edge.example") is (client is not CLIENT)
        await until(lambda: len(gateway.strangers) == 2)
        assert gateway.strangers == [("edge.example", stranger.der), ("edge.example", b"")]


@pytest.mark.parametrize(
    ("data", "version", "expected"),
    [
        (b"\x0b\0\0\x07\0\0\x04\0\0\x01a", 0x0303, b"a"),
        (b"\x0b\0\0\x0a\0\0\0\x06\0\0\x01a\0\0", 0x0304, b"a"),
        (b"\x0b\0\0\x03\0\0\0", 0x0303, b""),
        (b"\x0b\0\0\x04\0\0\0\0", 0x0304, b""),
        (b"\x0b", 0x0304, b""),
        (b"", 0x0303, b""),
        (b"\x0b\0\0\x07\0\0\x04\xff\xff\xffa", 0x0303, b"a"),
    ],
)
def test_a_certificate_message_is_read_within_its_bounds(data: bytes, version: int, expected: bytes) -> None:
    assert first_certificate(data, version) == expected


async def test_the_facts_of_a_session_are_told(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        client = ROOT.intermediate().issue(uri=WEB)
        context = client_context([ROOT], client, alpn=["h2", "http/1.1"])
        assert await ask(gateway.ports["edge"], context, "edge.example") == 200
        facts = gateway.seen[0].tls
        assert facts is not None
        assert (facts.version, facts.sni, facts.alpn, facts.resumed) == ("TLSv1.3", "edge.example", "http/1.1", False)
        assert facts.cipher.startswith("TLS_")
        assert facts.chain == client.ders


async def test_M11_a_small_key_is_refused(edge: CertificateFiles, tmp_path: Path) -> None:
    files = ROOT.issue(uri=WEB, algorithm="rsa1024").write(tmp_path, "small")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")  # else the client itself would refuse
    context.load_verify_locations(cadata=ROOT.der)
    context.load_cert_chain(files.certificate, files.key)
    async with serving(Spec(tls=tls(edge))) as gateway:
        assert await refused(gateway.ports["edge"], context)
        await until(lambda: gateway.handshakes)
        assert gateway.reasons == ["certificate_untrusted"]


def versions(first: ssl.TLSVersion, last: ssl.TLSVersion, ciphers: str | None = None) -> ssl.SSLContext:
    context = client_context([ROOT], CLIENT)
    context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are the point
        context.minimum_version, context.maximum_version = first, last
    return context


@pytest.mark.parametrize(
    ("at_least", "context", "served"),
    [
        pytest.param("1.3", versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), False, id="M11-12-where-13"),
        pytest.param("1.2", versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), True, id="M11-12-where-12"),
        pytest.param("1.2", versions(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3), True, id="M11-13-where-12"),
        pytest.param("1.2", versions(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1), False, id="M11-tls-1.1"),
        pytest.param(
            "1.2",
            versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "AES128-SHA:AES256-SHA256:@SECLEVEL=0"),
            False,
            id="M11-no-forward-secrecy",
        ),
        pytest.param(
            "1.2",
            versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
            False,
            id="M11-cbc",
        ),
    ],
)
async def test_old_versions_and_weak_ciphers_are_refused(
    edge: CertificateFiles, at_least: str, context: ssl.SSLContext, served: bool
) -> None:
    async with serving(Spec(tls=tls(edge, version=at_least))) as gateway:
        assert await refused(gateway.ports["edge"], context) is not served
        await until(lambda: gateway.handshakes)
        assert gateway.reasons == ([] if served else ["protocol"])


async def test_M11_compression_and_renegotiation_are_off(edge: CertificateFiles) -> None:
    context = Contexts(tls(edge, version="1.2")).base
    wanted = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    assert context.options & wanted == wanted
    assert context.verify_flags & ssl.VERIFY_X509_STRICT


async def test_M14_a_swap_takes_an_authority_away_from_the_next_handshake_on(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        port, context = gateway.ports["edge"], client_context([ROOT], CLIENT)
        assert await ask(port, context) == 200
        gateway.listeners["edge"].contexts = Contexts(TlsSettings((edge,), "required", roots(STRANGER)))
        assert await refused(port, context)


# The ClientHello


def hello(
    context: ssl.SSLContext, name: str = "localhost"
) -> tuple[bytes, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read(), session, incoming, outgoing


async def test_M19_a_client_hello_that_comes_byte_by_byte_meets_the_same_policy(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        for client, expected in ((CLIENT, 200), (None, None)):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.ports["edge"])
            first, session, incoming, outgoing = hello(client_context([ROOT], client))
            for byte in first:
                writer.write(bytes((byte,)))
                await writer.drain()
            assert await finish(session, incoming, outgoing, reader, writer) == expected
            writer.transport.abort()
        assert gateway.reasons == ["certificate_required"]
        assert len(gateway.seen) == 1


async def test_M19_a_client_hello_cut_into_records_meets_the_same_policy(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        for client, expected in ((CLIENT, 200), (None, None)):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.ports["edge"])
            first, session, incoming, outgoing = hello(client_context([ROOT], client))
            message = first[5:]
            for at in range(0, len(message), 16):  # each record carries 16 bytes of the message (RFC 8446 section 5.1)
                part = message[at : at + 16]
                writer.write(first[:3] + len(part).to_bytes(2, "big") + part)
                await writer.drain()
            assert await finish(session, incoming, outgoing, reader, writer) == expected
            writer.transport.abort()
        assert len(gateway.seen) == 1


async def finish(
    session: ssl.SSLObject,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> int | None:
    """End the handshake and ask; the status, or None where the server closes instead."""
    done = False
    while True:
        try:
            if not done:
                session.do_handshake()
                session.write(get("/", host="localhost"))
                done = True
            return int(session.read(65536).split()[1])
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, IndexError):
            return None
        writer.write(outgoing.read())
        try:
            data = await asyncio.wait_for(reader.read(65536), 5)
        except ConnectionError:
            return None
        if not data:
            return None
        incoming.write(data)


async def test_M19_a_handshake_that_stalls_ends_at_its_deadline(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge)), limits=Limits(header_timeout=0.2)) as gateway:
        for sent in (b"", hello(client_context([ROOT], CLIENT))[0][:100]):
            async with connected(gateway.ports["edge"]) as client:
                await client.send(sent)
                assert await client.closed()
        await until(lambda: len(gateway.handshakes) == 2)
        assert gateway.reasons == ["timeout", "timeout"]
        assert not gateway.listeners["edge"].arriving


async def test_M19_handshakes_at_work_are_bounded_and_new_clients_still_get_in(
    edge: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.acceptor._HANDSHAKES", 4)
    async with serving(Spec(tls=tls(edge))) as gateway, contextlib.AsyncExitStack() as silent:
        port = gateway.ports["edge"]
        for _ in range(12):
            await silent.enter_async_context(connected(port))
        await until(lambda: len(gateway.handshakes) == 8)
        assert set(gateway.reasons) == {"overloaded"}
        assert await ask(port, client_context([ROOT], CLIENT)) == 200
        assert len(gateway.listeners["edge"].arriving) <= 4


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(get(), id="M22-plain-http-on-tls"),
        pytest.param(b"\x16\x03\x01\xff\xff" + b"\0" * 100, id="M19-garbage-record"),
        pytest.param(b"\0" * 4096, id="M19-nuls"),
    ],
)
async def test_what_is_no_handshake_is_refused(edge: CertificateFiles, sent: bytes) -> None:
    async with serving(Spec(tls=tls(edge, mode="optional")), limits=Limits(header_timeout=1)) as gateway:
        async with connected(gateway.ports["edge"]) as client:
            await client.send(sent)
            assert not (await client.all()).startswith(b"HTTP")
        await until(lambda: gateway.handshakes)
        assert gateway.reasons in (["protocol"], ["timeout"])
        assert gateway.seen == []


async def test_M22_bytes_before_the_handshake_never_become_a_request(edge: CertificateFiles) -> None:
    """A request injected ahead of the ClientHello breaks the handshake; it is not served behind it (CVE-2023-40217)."""
    async with serving(Spec(tls=tls(edge))) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.ports["edge"])
        first, session, incoming, outgoing = hello(client_context([ROOT], CLIENT))
        writer.write(get("/injected") + first)
        assert await finish(session, incoming, outgoing, reader, writer) is None
        writer.transport.abort()
        await until(lambda: gateway.handshakes)
        assert gateway.seen == []


async def test_M22_bytes_behind_a_client_hello_that_is_never_finished_are_no_request(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        async with connected(gateway.ports["edge"]) as client:
            await client.send(hello(client_context([ROOT], CLIENT))[0] + get("/injected"))
            client.writer.write_eof()
            assert b"HTTP/1.1" not in await client.all()
        await until(lambda: gateway.handshakes)
        assert gateway.seen == []


# Several certificates


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Sequence[CertificateFiles]:
    directory = tmp_path_factory.mktemp("two")
    return [
        _entry(directory, "lax", "lax.example", "*.lax.example"),
        _entry(directory, "api", "api.lax.example", "strict.example"),
    ]


def _entry(directory: Path, stem: str, *names: str) -> CertificateFiles:
    return certificate(ROOT.issue(dns=names).write(directory, stem), *names)


@pytest.mark.parametrize(
    ("sni", "served"),
    [
        pytest.param("lax.example", 0, id="M20-exact"),
        pytest.param("api.lax.example", 1, id="M20-exact-before-wildcard"),
        pytest.param("API.lax.example", 1, id="M20-any-case"),
        pytest.param("x.lax.example", 0, id="M20-wildcard"),
        pytest.param("unknown.example", 0, id="M20-else-the-first"),
    ],
)
async def test_the_certificate_is_chosen_by_sni_and_told(
    two: Sequence[CertificateFiles], sni: str, served: int
) -> None:
    context = client_context([ROOT], CLIENT)
    context.check_hostname = False
    async with serving(Spec(tls=tls(*two))) as gateway, connected(gateway.ports["edge"], context, sni) as client:
        await client.send(get("/", host=sni))
        assert (await client.answer()).status == 200
        presented = client.writer.get_extra_info("ssl_object").getpeercert(True)
        assert presented == ssl.PEM_cert_to_DER_cert(two[served].certificate.read_text())
        facts = gateway.seen[0].tls
        assert facts is not None
        assert (facts.served, facts.sni) == (served, sni.lower())


@pytest.mark.parametrize(
    ("sni", "host", "status"),
    [
        pytest.param("lax.example", "lax.example", 200, id="M20-same"),
        pytest.param("lax.example", "x.lax.example", 200, id="M20-same-certificate"),
        pytest.param("lax.example", "api.lax.example", 200, id="M20-covered-by-this-certificate-too"),
        pytest.param("lax.example", "strict.example", 421, id="M20-strict-host-over-a-lax-name"),
        pytest.param("strict.example", "lax.example", 421, id="M20-lax-host-over-a-strict-name"),
        pytest.param("lax.example", "STRICT.example.:8443", 421, id="M20-other-spelling"),
    ],
)
async def test_a_request_for_a_host_of_another_certificate_is_misdirected(
    two: Sequence[CertificateFiles], sni: str, host: str, status: int
) -> None:
    spec = Spec(tls=tls(*two), covering=covering([entry.names for entry in two]))
    async with (
        serving(spec) as gateway,
        connected(gateway.ports["edge"], client_context([ROOT], CLIENT), sni) as client,
    ):
        await client.send(get("/first", host=sni))
        assert (await client.answer()).status == 200
        await client.send(get("/", host=host))  # on the same connection
        assert (await client.answer()).status == status
        assert len(gateway.seen) == (2 if status == 200 else 1)


async def test_without_sni_nothing_is_misdirected(two: Sequence[CertificateFiles]) -> None:
    spec = Spec(tls=tls(*two), covering=covering([entry.names for entry in two]))
    async with serving(spec) as gateway:
        context = client_context([ROOT], CLIENT)
        context.check_hostname = False
        async with connected(gateway.ports["edge"], context, "127.0.0.1") as client:  # an address is never sent as SNI
            await client.send(get("/", host="api.lax.example"))
            assert (await client.answer()).status == 200
        facts = gateway.seen[0].tls
        assert facts is not None
        assert (facts.sni, facts.served) == (None, 0)


async def test_failed_handshakes_leave_nothing_open(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            assert await refused(gateway.ports["edge"], client_context([ROOT], STRANGER.issue(uri=WEB)))
        await until(lambda: len(gateway.handshakes) == 20)
        await until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before + 1)
        assert gateway.open == 0
