"""Contexts out of files: whole or not at all, and a line that says what is wrong."""

import contextlib
import ssl
from pathlib import Path

import pytest

from gateway.server import tls
from gateway.server.settings import CertificateFiles, TlsSettings
from gateway.server.tls import Contexts, TlsUnusable
from gateway.testing.ca import Authority
from gateway.testing.tls import client_context

ROOT = Authority("cluster.local")


def entry(directory: Path, *names: str) -> CertificateFiles:
    files = ROOT.issue(dns=names).write(directory, names[0].replace("*", "any"))
    return CertificateFiles(files.certificate, files.key, names)


def test_the_entry_is_chosen_exact_before_wildcard_else_the_first(tmp_path: Path) -> None:
    files = (entry(tmp_path, "a.example"), entry(tmp_path, "*.example"), entry(tmp_path, "b.example", "a.example"))
    contexts = Contexts(TlsSettings(files))
    chosen = {
        name: contexts.entry(name)
        for name in ("a.example", "b.example", "c.example", "x.c.example", "example", "other", "")
    }
    assert chosen == {
        "a.example": 0, "b.example": 2, "c.example": 1, "x.c.example": 0, "example": 0, "other": 0, "": 0,
    }  # fmt: skip


def test_a_file_that_is_absent_or_no_certificate_is_named(tmp_path: Path) -> None:
    good = entry(tmp_path, "a.example")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nhalf")
    for files, text in (
        (CertificateFiles(tmp_path / "absent.pem", good.key), "absent.pem: No such file"),
        (CertificateFiles(good.certificate, tmp_path / "absent.key"), "absent.key: No such file"),
        (CertificateFiles(broken, good.key), "broken.pem"),
        (CertificateFiles(good.certificate, entry(tmp_path, "b.example").key), "not the key of"),
    ):
        with pytest.raises(TlsUnusable, match=text) as refused:
            Contexts(TlsSettings((good, files)))
        assert "\n" not in str(refused.value)


def test_roots_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TlsUnusable, match="authorities"):
        Contexts(TlsSettings((entry(tmp_path, "a.example"),), "required", (b"no certificate",)))


def test_roots_may_repeat(tmp_path: Path) -> None:
    Contexts(TlsSettings((entry(tmp_path, "a.example"),), "required", (ROOT.der, ROOT.der)))


@pytest.mark.parametrize("name", ["a.example", "b.example"])
def test_what_a_client_sends_is_overheard_in_the_handshake_and_not_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    heard: list[int] = []
    real = tls._heard

    def listening(session: object, direction: str, version: int, content: int, message: int, data: bytes) -> None:
        heard.append(content)
        real(session, direction, version, content, message, data)

    monkeypatch.setattr(tls, "_heard", listening)
    files = (entry(tmp_path, "a.example"), entry(tmp_path, "b.example"))
    contexts = Contexts(TlsSettings(files, "optional", (ROOT.der,)))
    caller = ROOT.issue(uri="spiffe://cluster.local/ns/default/sa/web")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = contexts.base.wrap_bio(to_server, to_client, server_side=True)
    client = client_context([ROOT], caller).wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(3):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert isinstance(server, tls.ServerSide)
    assert server.claimed == caller.der
    contexts.shaken(server)
    before = len(heard)
    client.write(b"request")
    assert server.read() == b"request"
    server.write(b"answer")
    assert client.read() == b"answer"
    assert len(heard) == before
    assert server.getpeercert(binary_form=True) == caller.der


def test_who_always_resumes_proves_a_key_anew_every_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = Contexts(TlsSettings((entry(tmp_path, "a.example"),)))
    assert contexts.resumes
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = contexts.base.wrap_bio(to_server, to_client, server_side=True)
    client = client_context([ROOT]).wrap_bio(to_client, to_server, server_hostname="a.example")
    for _ in range(3):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    contexts.shaken(server)
    assert contexts.base.session_stats()["number"] == 1
    monkeypatch.setattr(tls, "_SESSION_SECONDS", 0)
    contexts._fresh_until -= 3600
    contexts.shaken(server)
    assert contexts.base.session_stats()["number"] == 0
