"""Sessions are kept as many and as long as they are told to be, or not at all; attacks are in tests/attacks."""

import contextlib
import ssl
from pathlib import Path

import pytest

from gateway.server import sessions
from gateway.server.sessions import forget_sessions, keep_none, keep_sessions, order_suites
from gateway.server.settings import CertificateFiles, TlsSettings
from gateway.server.tls import Contexts
from gateway.testing.ca import Authority
from gateway.testing.tls import client_context, server_context

ROOT = Authority("cluster.local")
CLIENT = client_context([ROOT])
VERSIONS = pytest.mark.parametrize("last", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture
def context() -> ssl.SSLContext:
    made = server_context(ROOT.issue(dns=["localhost"]))
    made.options |= ssl.OP_NO_TICKET
    return made


def shake(server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLObject:
    """The client's side of a connection that was opened and closed in order."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = server.wrap_bio(to_server, to_client, server_side=True)
    far = client.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
    for _ in range(3):
        for side in (far, near):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    near.write(b"answer")
    assert far.read() == b"answer"
    with contextlib.suppress(ssl.SSLWantReadError):
        near.unwrap()
    return far


@VERSIONS
def test_the_latest_are_kept_and_all_can_be_forgotten(context: ssl.SSLContext, last: ssl.TLSVersion) -> None:
    client = client_context([ROOT], max_version=last)
    assert keep_sessions(context, 3, 100)
    visits = [shake(context, client) for _ in range(4)]
    assert context.session_stats()["number"] <= 3
    kept = [shake(context, client, visit.session).session_reused for visit in (visits[0], visits[3])]
    assert kept == [False, True]
    forget_sessions(context)
    assert context.session_stats()["number"] == 0
    assert not shake(context, client, visits[3].session).session_reused


def test_a_ticket_says_for_how_long_it_is_good(context: ssl.SSLContext) -> None:
    keep_sessions(context, 2, 100)
    session = shake(context, CLIENT).session
    assert session is not None
    assert session.ticket_lifetime_hint == 100


@VERSIONS
def test_none_are_kept(context: ssl.SSLContext, last: ssl.TLSVersion) -> None:
    client = client_context([ROOT], max_version=last)
    keep_none(context)
    visit = shake(context, client)
    assert context.session_stats()["number"] == 0
    assert not shake(context, client, visit.session).session_reused


def test_where_openssl_cannot_be_reached_no_tickets_are_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_LIBRARY", None)
    files = ROOT.issue(dns=["localhost"]).write(tmp_path, "edge")
    contexts = Contexts(TlsSettings((CertificateFiles(files.certificate, files.key, ("localhost",)),)))
    assert not contexts.resumes
    visit = shake(contexts.base, CLIENT)
    assert not shake(contexts.base, CLIENT, visit.session).session_reused
    contexts.forget()


def test_another_python_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.implementation.name", "another")
    assert sessions._library() is None


def test_an_openssl_that_shows_nothing_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_ssl.__file__", "/nowhere/_ssl.so")
    assert sessions._library() is None
    monkeypatch.delattr("_ssl.__file__")  # built into the interpreter
    assert sessions._library() is None


def test_the_suite_that_processors_compute_comes_first(context: ssl.SSLContext) -> None:
    order_suites(context)
    names = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.3"]
    assert names == ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
