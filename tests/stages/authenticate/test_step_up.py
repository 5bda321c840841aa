"""Whether the login behind a token is strong and fresh enough for a route (RFC 9470)."""

import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.step_up import StepUp, step_up
from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from tests.stages.authenticate.asking import PLAIN, ask, request, stage, trust, trusted

NOW = float(int(time.time()))
AUTHORITY = Authority("cluster.local")
WEB = AUTHORITY.issue(uri="spiffe://cluster.local/ns/default/sa/web")
ISSUER = Issuer(clock=lambda: NOW)
SKEW = 60.0


def asked(acr: tuple[str, ...] = (), max_age: float | None = None) -> StepUp:
    found = step_up(acr, max_age)
    assert found is not None
    return found


def refused(rule: StepUp, claims: dict[str, Any]) -> Refused | None:
    try:
        rule.check(claims, NOW, SKEW)
    except Refused as refusal:
        return refusal
    return None


def test_a_route_that_asks_nothing_has_nothing_to_check() -> None:
    assert step_up((), None) is None


@pytest.mark.parametrize(
    ("claims", "enough"),
    [
        pytest.param({"acr": "phr"}, True, id="the-first"),
        pytest.param({"acr": "phrh"}, True, id="another"),
        pytest.param({}, False, id="absent"),
        pytest.param({"acr": "phr phrh"}, False, id="both-in-one-text"),
        pytest.param({"acr": "PHR"}, False, id="another-case"),
        pytest.param({"acr": ["phr"]}, False, id="a-list"),
        pytest.param({"acr": True}, False, id="no-text"),
        pytest.param({"acr": None}, False, id="null"),
        pytest.param({"amr": ["phr"]}, False, id="of-another-claim"),
    ],
)
def test_one_of_the_acr_values(claims: dict[str, Any], enough: bool) -> None:
    assert (refused(asked(("phr", "phrh")), claims) is None) is enough


@pytest.mark.parametrize(
    ("login", "enough"),
    [
        pytest.param(NOW, True, id="now"),
        pytest.param(NOW - 900, True, id="as-old-as-may-be"),
        pytest.param(NOW - 901, False, id="older"),
        pytest.param(NOW + SKEW, True, id="ahead-within-the-skew"),
        pytest.param(NOW + SKEW + 1, False, id="ahead"),
        pytest.param(NOW * 1000, False, id="milliseconds"),
        pytest.param(str(int(NOW)), False, id="text"),
        pytest.param(True, False, id="boolean"),
        pytest.param(None, False, id="null"),
        pytest.param(0, False, id="zero"),
    ],
)
def test_the_age_of_the_login(login: Any, enough: bool) -> None:
    assert (refused(asked(max_age=900.0), {"auth_time": login, "iat": NOW}) is None) is enough


def test_without_auth_time_nothing_says_that_the_login_is_fresh() -> None:
    refusal = refused(asked(max_age=900.0), {"iat": NOW, "acr": "phr"})
    assert refusal is not None
    assert refusal.reason is Reason.STEP_UP_REQUIRED
    assert refusal.detail == "the token does not say when its user logged in (auth_time)"


def test_a_challenge_says_all_that_would_be_enough() -> None:
    refusal = refused(asked(("phr", "phrh"), 900.0), {"acr": "phr", "auth_time": NOW - 1000})
    assert refusal is not None
    assert refusal.challenge is not None
    assert (refusal.challenge.acr, refusal.challenge.max_age) == (("phr", "phrh"), 900)


BAD_AND_STALE: dict[str, Any] = {"acr": "0", "auth_time": 1}
ROUTE = replace(PLAIN, step_up=asked(("phr",), 900.0))


@pytest.mark.parametrize(
    ("changes", "claims", "certificate", "expected"),
    [
        pytest.param({}, {"acr": "phr", "auth_time": NOW}, False, None, id="enough"),
        pytest.param({}, BAD_AND_STALE, False, Reason.STEP_UP_REQUIRED, id="not-enough"),
        pytest.param({"certificate": True}, BAD_AND_STALE, False, Reason.CERTIFICATE_REQUIRED, id="certificate-first"),
        pytest.param({"audiences": frozenset("x")}, BAD_AND_STALE, False, Reason.TOKEN_AUDIENCE, id="audience-first"),
        pytest.param({}, {**BAD_AND_STALE, "exp": 1}, False, Reason.TOKEN_EXPIRED, id="an-expired-token-is-no-login"),
        pytest.param({}, {**BAD_AND_STALE, "cnf": {"jkt": "x"}}, False, Reason.BINDING_MISSING, id="nor-a-stolen-one"),
        pytest.param({}, None, True, Reason.CREDENTIALS_MISSING, id="a-certificate-is-no-login"),
        pytest.param({}, None, False, Reason.CREDENTIALS_MISSING, id="nothing-sent"),
        pytest.param({}, {**BAD_AND_STALE, "sub": ""}, True, Reason.TOKEN_MALFORMED, id="malformed"),
    ],
)
async def test_the_order_of_what_a_route_requires(
    changes: dict[str, Any], claims: dict[str, Any] | None, certificate: bool, expected: Reason | None
) -> None:
    judge = stage([trusted(ISSUER)], trust(AUTHORITY), replace(ROUTE, **changes))
    authorization = None if claims is None else f"Bearer {ISSUER.token(**claims)}"
    answer = await ask(judge, request(authorization, WEB.ders if certificate else (), now=NOW))
    assert (answer.reason if isinstance(answer, Refused) else None) is expected
    if expected in (Reason.STEP_UP_REQUIRED, Reason.CREDENTIALS_MISSING):
        assert isinstance(answer, Refused)
        assert answer.challenge is not None
        assert (answer.challenge.acr, answer.challenge.max_age) == (("phr",), 900)
        assert not answer.failed_credential
        proved = answer.principal  # for the record: who has to log in again
        assert (proved is not None and proved.user is not None) is (expected is Reason.STEP_UP_REQUIRED)
        assert (proved is not None and proved.workload is not None) is certificate


async def test_under_an_issuer_in_shadow_it_is_judged_and_decides_nothing() -> None:
    judge = stage([trusted(ISSUER, shadow=True)], trust(AUTHORITY), replace(ROUTE, public=True, step_up=ROUTE.step_up))
    answer = await ask(judge, request(f"Bearer {ISSUER.token(**BAD_AND_STALE)}", WEB.ders, now=NOW))
    assert isinstance(answer, Refused)  # the token counts as not sent, so nobody logged in
    assert [(shadow.kind, shadow.effect.value) for shadow in answer.shadows] == [("issuer", "challenge")]
