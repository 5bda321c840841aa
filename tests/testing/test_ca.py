"""The throwaway authority's certificates, judged by real handshakes."""

import asyncio
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.testing.ca import CLIENT_AUTH, SERVER_AUTH, Authority, Issued
from gateway.testing.keys import new_key, public_pem, read_private

ID = "spiffe://cluster.local/ns/default/sa/web"


def context(
    side: ssl._SSLMethod, mine: Issued, trusted: bytes, directory: Path, crl: bytes | None = None
) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    files = mine.write(directory, f"{side.name}-{mine.serial}")
    made.load_cert_chain(files.certificate, files.key)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(cadata=trusted.decode())
    if crl is not None:
        path = directory / "crl.pem"
        path.write_bytes(crl)
        made.load_verify_locations(cafile=path)
        made.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    """Both ends over memory; the client's certificate as the server saw it. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    pending = list(ends)
    for _ in range(10):
        for end in list(pending):
            try:
                end.do_handshake()
                pending.remove(end)
            except ssl.SSLWantReadError:
                continue
        if not pending:
            return ends[1].getpeercert(binary_form=True)
    raise AssertionError("the handshake did not end")


@pytest.mark.parametrize("algorithm", ["p256", "p384", "rsa2048", "ed25519"])
def test_an_ordinary_leaf_passes_strict_verification_on_both_sides(algorithm: str, tmp_path: Path) -> None:
    ca = Authority("cluster.local", algorithm=algorithm)  # type: ignore[arg-type]
    leaf = ca.issue(uri=ID, algorithm=algorithm)  # type: ignore[arg-type]
    server = context(ssl.PROTOCOL_TLS_SERVER, ca.issue(dns=["localhost"], ips=["127.0.0.1"]), ca.pem(), tmp_path)
    assert handshake(server, context(ssl.PROTOCOL_TLS_CLIENT, leaf, ca.pem(), tmp_path)) == leaf.der


def test_a_leaf_of_an_intermediate_is_sent_with_its_chain_and_passes(tmp_path: Path) -> None:
    ca = Authority("cluster.local")
    leaf = ca.intermediate(path_length=1).intermediate().issue(uri=ID)
    assert len(leaf.ders) == 3
    server = context(ssl.PROTOCOL_TLS_SERVER, ca.issue(), ca.pem(), tmp_path)
    assert handshake(server, context(ssl.PROTOCOL_TLS_CLIENT, leaf, ca.pem(), tmp_path)) == leaf.der


def test_another_root_of_the_same_trust_domain_is_not_trusted(tmp_path: Path) -> None:
    ca, stranger = Authority("cluster.local"), Authority("cluster.local")
    server = context(ssl.PROTOCOL_TLS_SERVER, ca.issue(), ca.pem(), tmp_path)
    client = context(ssl.PROTOCOL_TLS_CLIENT, stranger.issue(uri=ID), ca.pem(), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client)


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"not_after": NOW - timedelta(hours=1)}, "expired"),
        ({"not_before": NOW + timedelta(hours=1)}, "not yet valid"),
        ({"signed_by": new_key()}, "signature"),
        ({"key_identifiers": False}, "Subject Key Identifier|Authority Key Identifier"),
        ({"extended_key_usage": [SERVER_AUTH]}, "purpose"),
    ],
)
def test_an_odd_leaf_is_refused_for_its_oddity(odd: dict[str, object], why: str, tmp_path: Path) -> None:
    ca = Authority("cluster.local")
    server = context(ssl.PROTOCOL_TLS_SERVER, ca.issue(), ca.pem(), tmp_path)
    client = context(ssl.PROTOCOL_TLS_CLIENT, ca.issue(uri=ID, **odd), ca.pem(), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        handshake(server, client)


def test_a_crl_refuses_whom_it_lists_and_nobody_else(tmp_path: Path) -> None:
    ca = Authority("cluster.local")
    good, bad = ca.issue(uri=ID), ca.issue(uri=ID)
    server = context(ssl.PROTOCOL_TLS_SERVER, ca.issue(), ca.pem(), tmp_path, ca.crl([bad]))
    assert handshake(server, context(ssl.PROTOCOL_TLS_CLIENT, good, ca.pem(), tmp_path)) == good.der
    with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
        handshake(server, context(ssl.PROTOCOL_TLS_CLIENT, bad, ca.pem(), tmp_path))


@pytest.mark.parametrize(
    ("crl", "why"),
    [
        (lambda ca: ca.crl(next_update=NOW - timedelta(hours=1)), "expired"),
        (lambda ca: ca.crl(signed_by=new_key()), "CRL signature"),
    ],
)
def test_an_expired_or_forged_crl_refuses_everyone(crl: object, why: str, tmp_path: Path) -> None:
    ca = Authority("cluster.local")
    assert callable(crl)
    server = context(ssl.PROTOCOL_TLS_SERVER, ca.issue(), ca.pem(), tmp_path, crl(ca))
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        handshake(server, context(ssl.PROTOCOL_TLS_CLIENT, ca.issue(uri=ID), ca.pem(), tmp_path))


def test_names_stand_in_the_certificate_byte_for_byte() -> None:
    ca = Authority("cluster.local")
    uris = ["spiffe://cluster.local/a\0b", "https://second.example/"]
    leaf = ca.issue(uris=uris, dns=["*.example.com"], ips=["::1"], emails=["a@example.com"])
    san = leaf.cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == uris
    assert san.get_values_for_type(x509.DNSName) == ["*.example.com"]
    assert [str(ip) for ip in san.get_values_for_type(x509.IPAddress)] == ["::1"]


def test_oddities_reach_the_certificate() -> None:
    ca = Authority("cluster.local")
    extra = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    leaf = ca.issue(
        uri=ID, is_ca=True, key_usage=None, extended_key_usage=[CLIENT_AUTH], serial=7, extensions=[(extra, True)]
    ).cert
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.extensions.get_extension_for_oid(extra.oid).critical
    assert leaf.serial_number == 7
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.KeyUsage)


def test_written_files_load_and_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    leaf = Authority("cluster.local").issue(uri=ID)
    for _ in range(2):  # a renewal writes over the old pair
        files = leaf.write(tmp_path, "web")
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(files.certificate, files.key)
    loaded = serialization.load_pem_public_key(public_pem(read_private(files.key)))
    assert loaded == leaf.key.public_key()


async def test_a_leaf_serves_a_named_host_to_a_client_that_checks_names(tmp_path: Path) -> None:
    ca = Authority("cluster.local")
    server = context(ssl.PROTOCOL_TLS_SERVER, ca.issue(dns=["localhost"]), ca.pem(), tmp_path)
    server.verify_mode = ssl.CERT_NONE
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server)
    async with listener:
        client = ssl.create_default_context(cadata=ca.pem().decode())
        port = listener.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        writer.close()
