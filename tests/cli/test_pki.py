"""`gateway pki`, as a user calls it."""

import json
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.cli.main import main
from gateway.testing.ca import Authority
from gateway.testing.keys import read_private
from gateway.testing.tls import client_context, server_context
from tests.testing.test_ca import handshake

WEB = "spiffe://cluster.local/ns/default/sa/web"
# Every file that the contract's example and routes.yaml name.
NAMED = {
    "assertion.key",
    "audit.key",
    "audit.pub",
    "cluster-ca.pem",
    "cluster.crl",
    "edge.key",
    "edge.pem",
    "gateway.key",
    "gateway.pem",
    "partners-ca.pem",
    "partners.crl",
    "provider-ca.pem",
}


@pytest.fixture
def certs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["pki", "init"]) == 0
    capsys.readouterr()
    return tmp_path / "certs"


def test_init_makes_all_that_the_examples_name_and_keys_are_private(certs: Path) -> None:
    assert {path.name for path in certs.iterdir()} >= NAMED
    for key in certs.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    public = load_pem_public_key((certs / "audit.pub").read_bytes())
    assert public == read_private(certs / "audit.key").public_key()


def test_every_certificate_has_an_ecdsa_key(certs: Path) -> None:
    assert main(["pki", "issue", "web", "--uri", WEB]) == 0
    for path in certs.glob("*.pem"):
        key = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert isinstance(key.curve, ec.SECP256R1)


def test_each_certificate_of_the_gateway_fits_its_key_and_its_root(certs: Path) -> None:
    for name in ("edge", "gateway"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
        context.load_verify_locations(certs / "cluster-ca.pem")
        context.load_verify_locations(certs / "cluster.crl")
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        ca = Authority.load(certs / "cluster-ca.pem", certs / "cluster-ca.key")
        assert handshake(server_context(ca.issue(), [ca]), context)


def test_an_issued_certificate_carries_what_was_asked_for(certs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pki", "issue", "web", "--uri", WEB, "--host", "web.internal", "--host", "10.0.0.5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"certificate", "key", "serial", "not_after"}
    leaf = x509.load_pem_x509_certificate(Path(said["certificate"]).read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [WEB]
    assert names.get_values_for_type(x509.DNSName) == ["web.internal"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5"]
    ca = Authority.load(certs / "cluster-ca.pem", certs / "cluster-ca.key")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.load_cert_chain(said["certificate"], said["key"])
    assert handshake(server_context(ca.issue(), [ca]), client)


def test_the_partners_root_signs_when_it_is_named(certs: Path) -> None:
    assert main(["pki", "issue", "stranger", "--uri", WEB, "--ca", "partners-ca"]) == 0
    partners = Authority.load(certs / "partners-ca.pem", certs / "partners-ca.key")
    leaf = x509.load_pem_x509_certificate((certs / "stranger.pem").read_bytes())
    assert leaf.issuer == partners.name
    assert client_context([partners]).get_ca_certs()[0]["subject"]


def test_nothing_is_written_over(certs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in certs.iterdir()}
    (certs / "cluster-ca.pem").rename(certs / "moved.pem")
    assert main(["pki", "init"]) == 2
    assert "is there already: remove it" in capsys.readouterr().err
    (certs / "moved.pem").rename(certs / "cluster-ca.pem")
    assert main(["pki", "issue", "edge", "--host", "elsewhere"]) == 2
    assert {path: path.read_bytes() for path in certs.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["issue", "../x", "--host", "a"], "is no file name"),
        (["issue", "x"], "say who it is for"),
        (["issue", "x", "--host", "a", "--dir", "nowhere"], "make the folder with `gateway pki init nowhere`"),
        (["issue", "x", "--host", "a", "--days", "0"], "is not a number of days"),
        (["issue", "x", "--host", "ä"], "A-label"),
        (["renew"], "invalid choice"),
        ([], "required"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    certs: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pki", *arguments, "--json"] if arguments else ["pki"]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    if arguments:
        assert says in json.loads(said.out)["error"]["message"]
