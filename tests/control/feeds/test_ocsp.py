"""Asking about certificates: once at a time, remembered within bounds, and never a verdict while nobody answers."""

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from gateway.control.feeds.ocsp import StatusFeed
from gateway.kernel.cells import Metrics
from gateway.kernel.x509.ocsp import StatusQuestion, StatusRules, questions
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.testing.ca import Authority, Issued
from gateway.testing.clock import Clock
from gateway.testing.process import free_port, running
from gateway.testing.tls import server_context
from gateway.testing.wait import until
from tests.responder import REVOKED, UNKNOWN, Responder, Said, delegate, respond, responder

ROOT = Authority("cluster.local")
WEB = Authority("web")  # of the responder's web server
A = "spiffe://cluster.local/a"
HOUR = timedelta(hours=1)


class Place:
    """A responder, and a feed that asks it."""

    def __init__(self, held: Responder, capacity: int) -> None:
        self.responder = held
        self.clock = Clock(time.time())
        self.metrics = Metrics()
        self.feed = StatusFeed(self.metrics, clock=self.clock, capacity=capacity)

    def question(self, leaf: Issued | None = None, **rules: Any) -> StatusQuestion:
        leaf = leaf or self.responder.issue(uri=A)
        values = {"responder": self.responder.url, **rules}
        return questions("cluster.local", (leaf.cert, ROOT.certificate), StatusRules(**values), None)[0]

    async def judged(self, asked: StatusQuestion) -> Reason | None:
        """What a request is answered, as the stage asks."""
        now = self.clock()
        waiting = self.feed.asking([asked], now)
        if waiting is not None:
            await waiting
        return self.known(asked)

    def known(self, asked: StatusQuestion) -> Reason | None:
        try:
            self.feed.check(asked, self.clock())
        except Refused as refused:
            return refused.reason
        return None

    def count(self, result: str) -> float:
        return self.metrics.ocsp_requests.labels("cluster.local", result).value


@contextlib.asynccontextmanager
async def place(capacity: int = 8192, **served: Any) -> AsyncGenerator[Place]:
    async with responder(ROOT, **served) as held:
        made = Place(held, capacity)
        try:
            yield made
        finally:
            await made.feed.close()


async def test_an_answer_is_remembered_for_its_time() -> None:
    async with place() as held:
        asked = held.question(refresh=100)
        for _ in range(3):
            assert await held.judged(asked) is None
        assert len(held.responder.asked) == 1
        assert held.responder.kinds == ["application/ocsp-request"]
        held.clock.advance(101)
        assert await held.judged(asked) is None
        assert len(held.responder.asked) == 2
        assert held.count("good") == 2


async def test_shortly_before_its_time_is_over_a_new_one_is_fetched_beside() -> None:
    async with place() as held:
        asked = held.question(refresh=100)
        await held.judged(asked)
        held.clock.advance(79)
        assert held.feed.asking([asked], held.clock()) is None
        assert len(held.responder.asked) == 1
        held.clock.advance(2)
        assert held.feed.asking([asked], held.clock()) is None  # nobody waits
        await until(lambda: len(held.responder.asked) == 2, what="the next question")


async def test_M17_who_is_revoked_is_refused_and_stays_so_while_nobody_answers() -> None:
    async with place() as held:
        asked, before = held.question(refresh=100), held.feed.revoked
        assert await held.judged(asked) is None
        assert held.feed.revoked is before
        held.responder.said = Said(status=REVOKED)
        held.clock.advance(101)
        assert await held.judged(asked) is Reason.CERTIFICATE_REVOKED
        assert held.feed.revoked is not before
        held.responder.status = 500
        held.clock.advance(7 * 86400)
        assert await held.judged(asked) is Reason.CERTIFICATE_REVOKED
        assert held.count("revoked") == 1


async def test_M17_a_certificate_that_the_responder_does_not_know_is_no_good_one() -> None:
    async with place() as held:
        held.responder.said = Said(status=UNKNOWN)
        for required in (True, False):
            asked = held.question(required=required)
            assert await held.judged(asked) is Reason.KEYS_UNAVAILABLE
            held.clock.advance(1)
            assert await held.judged(asked) is Reason.KEYS_UNAVAILABLE
        assert len(held.responder.asked) == 2
        held.responder.said = Said()
        held.clock.advance(10)
        assert await held.judged(asked) is None  # it was told meanwhile


@pytest.mark.parametrize(
    ("said", "required"),
    [(reason, required) for reason in ("down", "status", "noise", "long", "encoding") for required in (True, False)],
)
async def test_M17_an_outage_is_503_or_lets_in_where_the_file_says_so(said: str, required: bool) -> None:
    async with place() as held:
        asked = held.question(required=required)
        if said == "status":
            held.responder.status = 503
        elif said == "encoding":
            held.responder.headers = {"content-encoding": "gzip"}
        elif said != "down":
            held.responder.answer = b"noise" if said == "noise" else b"x" * 70_000
        else:
            asked = held.question(required=required, responder="http://127.0.0.1:1/")
        assert await held.judged(asked) is (Reason.KEYS_UNAVAILABLE if required else None)
        assert held.count("failure") == 1
        assert "cluster.local" in held.feed.troubles
        assert await held.judged(asked) is (Reason.KEYS_UNAVAILABLE if required else None)
        assert held.count("failure") == 1  # not asked again at once


async def test_M17_an_outage_is_bridged_by_the_last_answer_until_that_ends() -> None:
    async with place() as held:
        held.responder.said = Said(next_update=timedelta(seconds=1000))
        short, long = held.question(refresh=100, max_stale=300), held.question(refresh=100)
        assert (await held.judged(short), await held.judged(long)) == (None, None)
        held.responder.status = 500
        held.clock.advance(290)
        assert (await held.judged(short), await held.judged(long)) == (None, None)
        assert held.count("failure") > 0
        held.clock.advance(20)  # past max_stale
        assert (await held.judged(short), await held.judged(long)) == (Reason.KEYS_UNAVAILABLE, None)
        held.clock.advance(760)  # past nextUpdate and the skew
        assert await held.judged(long) is Reason.KEYS_UNAVAILABLE
        held.responder.status, held.responder.said = 200, Said(next_update=3 * HOUR)
        held.clock.advance(6)
        assert (await held.judged(short), await held.judged(long)) == (None, None)
        assert not held.feed.troubles


async def test_one_question_is_in_flight_a_certificate_and_who_goes_ends_it_for_nobody() -> None:
    async with place() as held:
        held.responder.hold = asyncio.Event()
        asked = held.question()
        first = asyncio.create_task(held.judged(asked))
        others = [asyncio.create_task(held.judged(asked)) for _ in range(20)]
        await until(lambda: held.responder.under_way == 1, what="the question")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        held.responder.hold.set()
        assert await asyncio.gather(*others) == [None] * 20
        assert len(held.responder.asked) == 1


async def test_a_flood_of_certificates_asks_a_bounded_number_of_questions_at_once() -> None:
    async with place() as held:
        held.responder.hold = asyncio.Event()
        asked = [held.question() for _ in range(48)]
        judged = [asyncio.create_task(held.judged(each)) for each in asked]
        await until(lambda: held.responder.under_way == 32, what="as many questions as there may be")
        held.responder.hold.set()
        assert await asyncio.gather(*judged) == [None] * 48
        assert held.responder.most == 32


async def test_a_responder_that_does_not_answer_is_left_alone_for_a_moment_by_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.control.feeds.ocsp._TOTAL", 0.1)
    async with place() as held:
        held.responder.hold = asyncio.Event()
        assert await held.judged(held.question()) is Reason.KEYS_UNAVAILABLE
        assert await held.judged(held.question()) is Reason.KEYS_UNAVAILABLE
        assert len(held.responder.asked) == 1
        held.responder.hold.set()
        held.clock.advance(1.1)
        assert await held.judged(held.question()) is None


async def test_M17_an_old_answer_never_takes_the_place_of_a_newer_one() -> None:
    async with place() as held:
        leaf = held.responder.issue(uri=A)
        asked = held.question(leaf, refresh=60)
        held.responder.answer = respond(ROOT, leaf.cert, None, Said(this_update=-HOUR))
        replayed = held.responder.answer
        assert await held.judged(asked) is None
        held.responder.answer, held.responder.said = None, Said(status=REVOKED)
        held.clock.advance(61)
        assert await held.judged(asked) is Reason.CERTIFICATE_REVOKED
        held.responder.answer = replayed
        held.clock.advance(61)
        assert await held.judged(asked) is Reason.CERTIFICATE_REVOKED
        assert held.count("failure") == 1
        held.responder.answer, held.responder.said = None, Said()  # no longer on hold
        held.clock.advance(6)
        assert await held.judged(asked) is None


async def test_the_oldest_make_room() -> None:
    async with place(capacity=2) as held:
        asked = [held.question() for _ in range(3)]
        for each in asked:
            assert await held.judged(each) is None
        assert len(held.responder.asked) == 3
        assert held.known(asked[0]) is Reason.KEYS_UNAVAILABLE
        assert (held.known(asked[1]), held.known(asked[2])) == (None, None)


def listed(leaf: Issued, mark: str) -> str:
    """A line of OpenSSL's index of certificates."""
    ends, begins = (f"{at:%y%m%d%H%M%SZ}" for at in (leaf.cert.not_valid_after_utc, leaf.cert.not_valid_before_utc))
    serial = f"{leaf.serial:X}"
    gone = begins if mark == "R" else ""
    return f"{mark}\t{ends}\t{gone}\t{'0' * (len(serial) % 2)}{serial}\tunknown\t/O=gateway testing\n"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
async def test_openssls_responder_is_understood(tmp_path: Path) -> None:
    good, gone, stranger = (ROOT.issue(uri=A) for _ in range(3))
    signer, ca = delegate(ROOT).write(tmp_path, "signer"), ROOT.write(tmp_path, "ca")
    (tmp_path / "index").write_text(listed(good, "V") + listed(gone, "R"))
    port = free_port()
    command = ["openssl", "ocsp", "-index", str(tmp_path / "index"), "-port", str(port), "-nmin", "5", "-CA", str(ca)]
    command += ["-rsigner", str(signer.certificate), "-rkey", str(signer.key)]
    with running(command, tmp_path / "log") as process:
        await until(
            lambda: "waiting for" in process.output, what="openssl to listen"
        )  # a look at the port would hang it
        async with place() as held:
            for leaf, reason in ((good, None), (gone, Reason.CERTIFICATE_REVOKED), (stranger, Reason.KEYS_UNAVAILABLE)):
                asked = held.question(leaf, responder=f"http://127.0.0.1:{port}/", nonce=True)
                assert await held.judged(asked) is reason, held.feed.troubles
            assert held.count("unknown") == 1


def naming(url: str) -> Issued:
    """A certificate that names its responder."""
    place = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    return ROOT.issue(uri=A, extensions=[(x509.AuthorityInformationAccess([place]), False)])


async def test_a_certificate_names_its_responder_where_the_file_knows_the_host(tmp_path: Path) -> None:
    served = WEB.issue(dns=["localhost"], ips=["127.0.0.1"])
    async with place(host="127.0.0.1", tls=server_context(served)) as held:
        leaf = naming(held.responder.url)
        held.responder.certificates[leaf.serial] = leaf.cert
        ca = WEB.write(tmp_path, "ca")
        rules: dict[str, Any] = {"responder": None, "ca": ca}
        assert await held.judged(held.question(leaf, hosts=("127.0.0.1",), **rules)) is None
        assert await held.judged(held.question(leaf, hosts=("ocsp.example",), **rules)) is Reason.KEYS_UNAVAILABLE
        assert "none of `hosts`" in held.feed.troubles["cluster.local"]
        assert len(held.responder.asked) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("https://127.0.0.1:{port}", "loopback", id="K2-loopback"),
        pytest.param("https://localhost:{port}", "loopback", id="K2-loopback-by-name"),
        pytest.param("https://169.254.169.254/", "metadata|link-local", id="K2-metadata"),
        pytest.param("https://10.0.0.1/", "private", id="K2-private"),
        pytest.param("http://ocsp.example/", "only https", id="K1-plain"),
        pytest.param("ldap://ocsp.example/", "not a plain", id="K1-other-scheme"),
        pytest.param("file:///etc/passwd", "not a plain", id="K2-file"),
        pytest.param("https://me:you@ocsp.example/", "not a plain", id="K2-userinfo"),
    ],
)
async def test_what_a_certificate_names_is_fetched_under_the_rules_of_egress(url: str, why: str) -> None:
    async with place() as held:
        leaf = naming(url.format(port=held.responder.url.rpartition(":")[2]))
        assert await held.judged(held.question(leaf, responder=None)) is Reason.KEYS_UNAVAILABLE
        assert re.search(why, held.feed.troubles["cluster.local"])
        assert held.responder.asked == []
