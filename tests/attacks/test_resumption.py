"""Who comes back with a session instead of a certificate (security.md M14-M16, M20, M21): judged like any other.

A session is resumed under the very contexts that it began with, or not at all; both versions of TLS, over both drivers.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from gateway.control.build.listeners import expired
from gateway.kernel.x509.trust import Trust, make_authority
from gateway.server.settings import CertificateFiles, TlsSettings
from gateway.server.tls import Contexts
from gateway.stages.authenticate.authenticators.certificate import CertificateAuthenticator
from gateway.testing.ca import Authority, Issued
from gateway.testing.tls import client_context
from gateway.testing.wait import BOUND, until
from tests.serving import Spec, certificate, get, roots, serving
from tests.streams_scene import ROUTES, Scene, root, scene

pytestmark = pytest.mark.usefixtures("driver")

ROOT = Authority("cluster.local")
WEB = "spiffe://cluster.local/ns/default/sa/web"
CLIENT = ROOT.issue(uri=WEB)
VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])
NEW_SESSION_TICKET = 4
WHO = """\
  - name: who
    match: {paths: ["/who"]}
    allow: [{from: {trust_domains: [cluster.local]}}]
    respond: {status: 200, body: ok}
"""


@dataclass
class Visit:
    status: int
    resumed: bool
    session: ssl.SSLSession | None

    @property
    def ticket(self) -> bool:
        return self.session is not None and self.session.has_ticket


@dataclass
class Visitor:
    """A client that keeps its session, over blocking sockets: asyncio gives a client no way to offer one."""

    port: int
    issued: Issued | None = None
    version: str = "1.3"
    authority: Authority = ROOT
    session: ssl.SSLSession | None = None
    heard: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        last = ssl.TLSVersion.TLSv1_2 if self.version == "1.2" else ssl.TLSVersion.TLSv1_3
        self.context = client_context([self.authority], self.issued, max_version=last)

    @contextlib.contextmanager
    def open(self, name: str) -> Any:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=BOUND) as plain,
            self.context.wrap_socket(plain, server_hostname=name, session=self.session) as secure,
        ):
            yield secure

    def visit(self, path: str = "/", name: str = "localhost") -> Visit:
        with self.open(name) as secure:
            secure.sendall(get(path, host=name))
            answer = secure.recv(65536)
            if not answer:
                raise ConnectionResetError
            visited = Visit(int(answer.split()[1]), bool(secure.session_reused), secure.session)
            with contextlib.suppress(OSError):
                secure.unwrap()  # OpenSSL forgets the session of a connection that was not closed properly
            return visited

    async def __call__(self, path: str = "/", name: str = "localhost", *, keep: bool = True) -> Visit:
        """One request on a connection of its own. Raises OSError where no answer comes."""
        visited = await asyncio.to_thread(self.visit, path, name)
        if keep:
            self.session = visited.session
        return visited

    async def turned_away(self, path: str = "/") -> bool:
        try:
            await self(path)
        except OSError:
            return True
        return False


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    files = ROOT.issue(dns=["localhost", "edge.example"]).write(tmp_path_factory.mktemp("edge"), "edge")
    return certificate(files, "localhost", "edge.example")


def tls(*files: CertificateFiles, mode: str = "required", resumption: bool = True) -> TlsSettings:
    return TlsSettings(files, mode, roots(ROOT), "1.2", resumption)  # type: ignore[arg-type] # words from the tables


@VERSIONS
async def test_M14_a_resumed_session_brings_the_chain_that_was_sent(edge: CertificateFiles, version: str) -> None:
    issued = ROOT.intermediate().issue(uri=WEB)
    async with serving(Spec(tls=tls(edge))) as gateway:
        visitor = Visitor(gateway.ports["edge"], issued, version)
        assert not (await visitor()).resumed
        for _ in range(2):  # the session of a resumed one too
            assert (await visitor()).resumed
        facts = [seen.tls for seen in gateway.seen if seen.tls]
        assert [fact.resumed for fact in facts] == [False, True, True]
        assert [fact.chain for fact in facts] == [issued.ders] * 3
        assert gateway.resumptions == 2


@VERSIONS
@pytest.mark.parametrize("mode", ["none", "optional", "required"])
async def test_M14_where_it_is_off_nothing_is_resumed(edge: CertificateFiles, mode: str, version: str) -> None:
    async with serving(Spec(tls=tls(edge, mode=mode, resumption=False))) as gateway:
        visitor = Visitor(gateway.ports["edge"], CLIENT, version)
        assert not (await visitor()).ticket
        assert (await visitor()).resumed is False
        assert [seen.tls.resumed for seen in gateway.seen if seen.tls] == [False, False]


@VERSIONS
@pytest.mark.parametrize("uri", [WEB, "spiffe://cluster.local"], ids=["M14-an-identity", "M14-no-identity"])
async def test_what_expired_since_is_turned_away_before_a_request_is_heard(
    edge: CertificateFiles, version: str, uri: str
) -> None:
    """OpenSSL looks at no date of a session that it resumes, so here the clock moves and the certificate stays."""
    authority = make_authority("cluster.local", ROOT.pem(), None)
    judge = CertificateAuthenticator(Source(Trust({"cluster.local": authority}, ())))
    issued = ROOT.issue(uri=uri)
    now = [x509.load_der_x509_certificate(issued.der).not_valid_after_utc.timestamp()]
    async with serving(Spec(tls=tls(edge), expired=lambda chain: expired(judge, chain, now[0]))) as gateway:
        visitor = Visitor(gateway.ports["edge"], issued, version)
        await visitor()
        assert (await visitor()).resumed
        now[0] += 1
        assert await visitor.turned_away()
        await until(lambda: gateway.reasons)
        assert gateway.reasons == ["certificate_expired"]
        assert (len(gateway.seen), gateway.resumptions) == (2, 1)


@dataclass
class Source:
    current: Trust


@contextlib.asynccontextmanager
async def at_work(folder: Path, version: str) -> AsyncGenerator[tuple[Scene, Visitor]]:
    """A whole worker, and a visitor who has a session of it."""
    async with scene(folder, routes=ROUTES + WHO) as site:
        visitor = Visitor(site.ports["edge"], root().issue(uri=WEB), version, root())
        assert (await visitor("/who")).status == 200
        assert (await visitor("/who")).resumed
        yield site, visitor


def revoke(site: Scene, visitor: Visitor) -> None:
    assert visitor.issued is not None
    (site.folder / "ca.crl").write_bytes(root().crl([visitor.issued.serial]))
    site.worker.runtime.parts.sources.trust.reload()  # its own poll, at once


@VERSIONS
async def test_M14_who_was_revoked_since_is_not_let_in_again(tmp_path: Path, version: str) -> None:
    async with at_work(tmp_path, version) as (site, visitor):
        generation = site.worker.runtime.parts.sources.trust.generation
        async with site.worker._reloader._lock:  # the moment between a list and whoever takes its change up
            revoke(site, visitor)
            visited = await visitor("/who", keep=False)
            assert (visited.status, visited.resumed) == (401, True)
        await until(lambda: site.worker._reloader._rotation._trust > generation)
        for resumed in (False, True):  # a handshake asks for no list, the request does
            visited = await visitor("/who")
            assert (visited.status, visited.resumed) == (401, resumed)
        assert {record["reason"] for record in site.records("decision")} == {None, "certificate_revoked"}


@VERSIONS
async def test_M14_a_list_that_is_taken_up_ends_the_sessions_that_began_before_it(tmp_path: Path, version: str) -> None:
    async with at_work(tmp_path, version) as (site, visitor):
        (site.folder / "ca.crl").write_bytes(root().crl([1]))
        generation = site.worker.runtime.parts.sources.trust.generation
        site.worker.runtime.parts.sources.trust.reload()
        await until(lambda: site.worker._reloader._rotation._trust > generation)
        visited = await visitor("/who", keep=False)
        assert (visited.status, visited.resumed) == (200, False)


@VERSIONS
async def test_M14_who_belongs_to_a_bundle_that_is_gone_is_not_let_in_again(tmp_path: Path, version: str) -> None:
    async with at_work(tmp_path, version) as (site, visitor):
        contexts = site.worker.listeners["edge"].contexts
        other = Authority("cluster.local")
        async with site.worker._reloader._lock:
            other.write(site.folder, "ca")
            (site.folder / "ca.crl").write_bytes(other.crl([]))
            site.worker.runtime.parts.sources.trust.reload()
            visited = await visitor("/who", keep=False)
            assert (visited.status, visited.resumed) == (401, True)
        await until(lambda: site.worker.listeners["edge"].contexts is not contexts)
        assert await visitor.turned_away("/who")
        await until(lambda: site.records("handshake"))
        assert [record["reason"] for record in site.records("handshake")] == ["certificate_untrusted"]


@VERSIONS
async def test_M14_a_ticket_is_worth_nothing_after_a_reload(tmp_path: Path, version: str) -> None:
    async with at_work(tmp_path, version) as (site, visitor):
        await site.reload(ROUTES + WHO)
        visited = await visitor("/who", keep=False)
        assert (visited.status, visited.resumed) == (200, False)


@VERSIONS
async def test_M14_a_swap_of_contexts_ends_every_session(edge: CertificateFiles, version: str) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        visitor, before = Visitor(gateway.ports["edge"], CLIENT, version), gateway.listeners["edge"].contexts
        await visitor()
        assert before is not None
        assert before.base.session_stats()["number"] > 0
        gateway.listeners["edge"].contexts = Contexts(tls(edge))
        assert before.base.session_stats()["number"] == 0
        assert not (await visitor()).resumed


@VERSIONS
async def test_M15_a_session_of_a_lax_listener_opens_no_strict_one(edge: CertificateFiles, version: str) -> None:
    async with serving(Spec("lax", tls(edge, mode="optional")), Spec("strict", tls(edge))) as gateway:
        visitor = Visitor(gateway.ports["lax"], None, version)
        await visitor()
        visitor.port = gateway.ports["strict"]
        assert await visitor.turned_away()
        assert [seen.tls.chain for seen in gateway.seen if seen.tls] == [()]
        await until(lambda: gateway.reasons)
        assert gateway.reasons == ["certificate_required"]


@VERSIONS
async def test_M15_listeners_of_one_kind_share_no_sessions(edge: CertificateFiles, version: str) -> None:
    async with serving(Spec("one", tls(edge)), Spec("two", tls(edge))) as gateway:
        visitor = Visitor(gateway.ports["one"], CLIENT, version)
        await visitor()
        visitor.port = gateway.ports["two"]
        visited = await visitor()
        assert (visited.status, visited.resumed) == (200, False)


@VERSIONS
async def test_M15_M20_where_sni_chooses_the_certificate_nothing_is_resumed(
    edge: CertificateFiles, tmp_path: Path, version: str
) -> None:
    strict = certificate(ROOT.issue(dns=["strict.example"]).write(tmp_path, "strict"), "strict.example")
    async with serving(Spec(tls=tls(edge, strict))) as gateway:
        visitor = Visitor(gateway.ports["edge"], CLIENT, version)
        assert not (await visitor()).ticket
        for name in ("strict.example", "localhost"):
            assert (await visitor(name=name)).resumed is False
        assert [seen.tls.served for seen in gateway.seen if seen.tls] == [0, 1, 0]


@pytest.mark.parametrize(("version", "told"), [("1.2", "localhost"), ("1.3", "edge.example")])
async def test_M20_the_name_of_a_resumed_session_is_one_of_the_certificate_that_it_saw(
    edge: CertificateFiles, version: str, told: str
) -> None:
    """TLS 1.2 keeps the name that the session began with, TLS 1.3 takes the new one (RFC 8446 section 4.6.1)."""
    async with serving(Spec(tls=tls(edge))) as gateway:
        visitor = Visitor(gateway.ports["edge"], CLIENT, version)
        await visitor()
        assert (await visitor(name="edge.example")).resumed
        assert [seen.tls.sni for seen in gateway.seen if seen.tls] == ["localhost", told]


@pytest.mark.parametrize(("first", "then"), [("1.3", "1.2"), ("1.2", "1.3")])
async def test_M14_a_session_of_one_version_is_none_of_the_other(edge: CertificateFiles, first: str, then: str) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        visitor = Visitor(gateway.ports["edge"], CLIENT, first)
        await visitor()
        visitor.context.maximum_version = ssl.TLSVersion.TLSv1_3
        visitor.context.minimum_version = ssl.TLSVersion.TLSv1_2
        last = ssl.TLSVersion.TLSv1_2 if then == "1.2" else ssl.TLSVersion.TLSv1_3
        visitor.context.maximum_version = visitor.context.minimum_version = last
        try:
            visited = await visitor()
        except ssl.SSLError:  # the client's own OpenSSL may refuse to offer it
            assert len(gateway.seen) == 1
        else:
            assert (visited.status, visited.resumed) == (200, False)


async def test_M14_a_session_whose_connection_broke_off_is_not_resumed(edge: CertificateFiles) -> None:
    async with serving(Spec(tls=tls(edge))) as gateway:
        visitor = Visitor(gateway.ports["edge"], CLIENT)

        def break_off() -> ssl.SSLSession | None:
            with visitor.open("localhost") as secure:
                secure.sendall(get("/", host="localhost"))
                assert secure.recv(65536)
                return secure.session  # type: ignore[no-any-return]

        visitor.session = await asyncio.to_thread(break_off)
        await until(lambda: gateway.open == 0)
        assert not (await visitor()).resumed


@VERSIONS
async def test_M16_a_stream_over_a_resumed_session_ends_when_its_certificate_is_revoked(
    tmp_path: Path, version: str
) -> None:
    async with at_work(tmp_path, version) as (site, visitor):

        def stay(opened: Callable[[], object]) -> tuple[bool, bytes]:
            with visitor.open("localhost") as secure:
                secure.sendall(UPGRADE)
                assert secure.recv(65536).startswith(b"HTTP/1.1 101")
                opened()
                return bool(secure.session_reused), secure.recv(65536)

        loop, opened = asyncio.get_running_loop(), asyncio.Event()
        stream = asyncio.create_task(asyncio.to_thread(stay, lambda: loop.call_soon_threadsafe(opened.set)))
        await opened.wait()
        revoke(site, visitor)
        resumed, last = await stream
        assert resumed
        assert last[2:4] == (4401).to_bytes(2)


UPGRADE = get(
    "/chat", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", host="localhost",
)  # fmt: skip


async def test_M21_no_early_data_is_offered(edge: CertificateFiles) -> None:
    """Python has no early data; a ticket without extensions takes none (RFC 8446 section 4.6.1)."""
    async with serving(Spec(tls=tls(edge))) as gateway:
        visitor, heard = Visitor(gateway.ports["edge"], CLIENT), []

        def hear(_: object, direction: str, version: object, content: int, message: int, data: bytes) -> None:
            if (direction, content, message) == ("read", 22, NEW_SESSION_TICKET):
                heard.append(data)

        visitor.context._msg_callback = hear  # type: ignore[attr-defined]
        assert (await visitor()).status == 200
        (ticket,) = heard
        at = 4 + 8  # type and length; lifetime and age_add
        at += 1 + ticket[at]  # nonce
        size = int.from_bytes(ticket[at : at + 2])
        assert size == 32  # a number, and nothing that could be opened
        assert ticket[at + 2 + size :] == b"\0\0"
