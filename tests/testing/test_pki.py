"""The folder that `gateway pki` fills."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gateway.testing.pki import Exists, Folder


def names(path: Path) -> x509.SubjectAlternativeName:
    loaded = x509.load_pem_x509_certificate(path.read_bytes())
    return loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_trust_domains_hosts_and_days_are_those_that_were_asked_for(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "made")
    made = folder.init(trust_domain="a.example", partner_domain="b.example", hosts=["api.a.example", "::1"], days=7)
    assert {one.name for one in made} == {path.name for path in folder.path.iterdir()}
    assert folder.authority("cluster-ca").trust_domain == "a.example"
    assert folder.authority("partners-ca").trust_domain == "b.example"
    edge = names(folder.path / "edge.pem")
    assert edge.get_values_for_type(x509.DNSName) == ["api.a.example"]
    assert [str(address) for address in edge.get_values_for_type(x509.IPAddress)] == ["::1"]
    own = names(folder.path / "gateway.pem").get_values_for_type(x509.UniformResourceIdentifier)
    assert own == ["spiffe://a.example/ns/gateway/sa/gateway"]
    ends = x509.load_pem_x509_certificate((folder.path / "edge.pem").read_bytes()).not_valid_after_utc
    assert timedelta(days=6) < ends - datetime.now(UTC) < timedelta(days=7, minutes=1)


def test_when_one_file_is_there_already_none_is_written(tmp_path: Path) -> None:
    (tmp_path / "partners.crl").write_text("mine")
    with pytest.raises(Exists) as refused:
        Folder(tmp_path).init()
    assert refused.value.path == tmp_path / "partners.crl"
    assert [path.name for path in tmp_path.iterdir()] == ["partners.crl"]
    assert (tmp_path / "partners.crl").read_text() == "mine"


def test_a_revocation_list_is_signed_by_its_root_and_empty(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.init()
    crl = x509.load_pem_x509_crl((tmp_path / "cluster.crl").read_bytes())
    key = folder.authority("cluster-ca").key.public_key()
    assert crl.is_signature_valid(key)
    assert len(crl) == 0


def test_an_issued_pair_is_never_written_over(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.init()
    folder.issue("web", uri="spiffe://cluster.local/web")
    (tmp_path / "web.pem").unlink()
    with pytest.raises(Exists):
        folder.issue("web", uri="spiffe://cluster.local/web")
    assert not (tmp_path / "web.pem").exists()
