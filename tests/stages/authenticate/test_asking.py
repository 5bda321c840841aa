"""The stage where certificates are asked about: it waits where it has to, and judges as everywhere else."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace

import pytest

from gateway.kernel.cells import Metrics
from gateway.kernel.x509.ocsp import StatusQuestion, StatusRules
from gateway.kernel.x509.trust import Trust, make_authority
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.asking import AskingAuthenticate
from gateway.stages.authenticate.authenticators.certificate import AskedCertificates
from gateway.stages.authenticate.authenticators.jwt import JwtVerifier
from gateway.stages.authenticate.bindings.dpop import Proofs
from gateway.stages.authenticate.bindings.replays import MemoryReplays
from gateway.stages.authenticate.counters import Counters
from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from tests.due import due
from tests.stages.authenticate.asking import PLAIN, ROUTE, Held, ask, request, trusted

ROOT = Authority("cluster.local")
LEAF = ROOT.issue(uri="spiffe://cluster.local/a")


def at() -> float:
    return LEAF.cert.not_valid_before_utc.timestamp() + 1


ISSUER = Issuer(clock=at)


class Statuses:
    """A source whose answers a test sets."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.waiting: asyncio.Future[None] | None = None
        self.asked: list[StatusQuestion] = []

    def check(self, question: StatusQuestion, now: float) -> None:
        if self.reason is not None:
            raise Refused(self.reason, "so it is")

    def asking(self, questions: Sequence[StatusQuestion], now: float) -> Awaitable[None] | None:
        self.asked += questions
        return self.waiting


def stage(statuses: Statuses, *, ignored: bool = False) -> AskingAuthenticate:
    authority = make_authority("cluster.local", ROOT.pem(), None, status=StatusRules())
    certificates = AskedCertificates(Held(Trust({"cluster.local": authority}, ())), statuses)
    route = replace(PLAIN, public=ignored, ignored=ignored)
    counters = Counters(Metrics().authentications)
    verifier = JwtVerifier([trusted(ISSUER)])
    return AskingAuthenticate(verifier, certificates, [route], Proofs(MemoryReplays()), counters)


async def test_it_waits_for_what_has_to_be_asked_and_only_then_judges() -> None:
    statuses = Statuses()
    statuses.waiting, statuses.reason = asyncio.get_running_loop().create_future(), Reason.KEYS_UNAVAILABLE
    judged = asyncio.ensure_future(due(stage(statuses)(request(chain=LEAF.ders, now=at()), ROUTE)))
    await asyncio.sleep(0)
    assert not judged.done()
    statuses.reason = None
    statuses.waiting.set_result(None)
    principal = await judged
    assert principal.workload is not None
    assert principal.workload.id == "spiffe://cluster.local/a"
    assert [each.certificate for each in statuses.asked] == [LEAF.cert]


@pytest.mark.parametrize("reason", [Reason.CERTIFICATE_REVOKED, Reason.KEYS_UNAVAILABLE])
async def test_M17_what_is_said_is_what_is_answered(reason: Reason) -> None:
    statuses = Statuses()
    statuses.reason = reason
    refused = await ask(stage(statuses), request(chain=LEAF.ders, now=at()))
    assert isinstance(refused, Refused)
    assert refused.reason is reason


async def test_M17_nobody_is_asked_about_a_chain_that_does_not_hold_nor_where_none_was_sent_or_is_read() -> None:
    statuses = Statuses()
    stranger = Authority("cluster.local").issue(uri="spiffe://cluster.local/a")
    refused = await ask(stage(statuses), request(chain=stranger.ders, now=at()))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.CERTIFICATE_UNTRUSTED
    assert isinstance(await ask(stage(statuses), request(now=at())), Refused)
    statuses.reason = Reason.CERTIFICATE_REVOKED
    assert isinstance(await ask(stage(statuses, ignored=True), request(chain=LEAF.ders, now=at())), Principal)
    assert statuses.asked == []


async def test_when_both_fail_the_tokens_reason_is_answered() -> None:
    statuses = Statuses()
    statuses.reason = Reason.CERTIFICATE_REVOKED
    bearer = f"Bearer {ISSUER.token(exp=int(at()) - 1000)}"
    refused = await ask(stage(statuses), request(bearer, LEAF.ders, now=at()))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.TOKEN_EXPIRED


async def test_a_stream_that_is_judged_again_is_asked_about_again() -> None:
    statuses = Statuses()
    again = stage(statuses).again(at())
    statuses.reason = Reason.CERTIFICATE_REVOKED
    refused = await ask(again, request(chain=LEAF.ders, now=at()))
    assert isinstance(refused, Refused)
    assert len(statuses.asked) == 1
