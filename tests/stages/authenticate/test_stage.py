"""The stage: which credential is asked for, which counts, and what its refusals carry."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate import RouteCredentials
from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from tests.stages.authenticate.asking import ROUTE, ask, reason, request, stage, trust, trusted

AUTHORITY = Authority("cluster.local")
WEB = AUTHORITY.issue(uri="spiffe://cluster.local/ns/default/sa/web")
EXPIRED = AUTHORITY.issue(
    uri="spiffe://cluster.local/ns/default/sa/web", not_after=datetime.now(UTC) - timedelta(hours=1)
)
NOW = time.time()
ISSUER = Issuer(audience=["api-service", "inventory"], clock=lambda: NOW)
TRUST = trust(AUTHORITY)


def route(**changes: Any) -> RouteCredentials:
    return RouteCredentials(**{"public": False, "ignored": False, "certificate": False, "audiences": None, **changes})


def bearer(**changes: Any) -> str:
    return f"Bearer {ISSUER.token(**changes)}"


def sent(kind: str) -> Any:
    """A request with a good or bad token, a good or expired certificate, or without."""
    token, certificate = kind.split("+")
    authorization = {"token": bearer(), "late": bearer(exp=1), "other": bearer(aud="x"), "none": None}[token]
    chain = {"cert": WEB.ders, "expired": EXPIRED.ders, "none": ()}[certificate]
    return request(authorization, chain, now=NOW)


PUBLIC, IGNORING = route(public=True), route(public=True, ignored=True)
CERTIFICATE = route(certificate=True)
INVENTORY, BILLING = route(audiences=frozenset({"inventory"})), route(audiences=frozenset({"billing"}))
CASES = [
    ("plain", route(), "none+none", Reason.CREDENTIALS_MISSING),
    ("plain", route(), "token+none", None),
    ("plain", route(), "none+cert", None),
    ("plain", route(), "token+cert", None),
    ("plain", route(), "late+cert", Reason.TOKEN_EXPIRED),
    ("plain", route(), "token+expired", Reason.CERTIFICATE_EXPIRED),
    ("plain", route(), "late+expired", Reason.TOKEN_EXPIRED),
    ("plain", route(), "other+expired", Reason.TOKEN_AUDIENCE),
    ("plain", route(), "other+none", Reason.TOKEN_AUDIENCE),
    ("public", PUBLIC, "none+none", None),
    ("public", PUBLIC, "token+none", None),
    ("public", PUBLIC, "late+none", Reason.TOKEN_EXPIRED),
    ("public", PUBLIC, "none+expired", Reason.CERTIFICATE_EXPIRED),
    ("ignoring", IGNORING, "late+expired", None),
    ("ignoring", IGNORING, "token+cert", None),
    ("certificate", CERTIFICATE, "none+none", Reason.CREDENTIALS_MISSING),
    ("certificate", CERTIFICATE, "token+none", Reason.CERTIFICATE_REQUIRED),
    ("certificate", CERTIFICATE, "other+none", Reason.CERTIFICATE_REQUIRED),
    ("certificate", CERTIFICATE, "none+cert", None),
    ("certificate", CERTIFICATE, "none+expired", Reason.CERTIFICATE_EXPIRED),
    ("audience", INVENTORY, "token+none", None),
    ("audience", BILLING, "token+none", Reason.TOKEN_AUDIENCE),
    ("audience", INVENTORY, "none+cert", Reason.CREDENTIALS_MISSING),
    ("audience", INVENTORY, "none+none", Reason.CREDENTIALS_MISSING),
]


@pytest.mark.parametrize(
    ("rules", "kind", "expected"), [pytest.param(*case[1:], id=f"{case[0]}-{case[2]}") for case in CASES]
)
async def test_what_a_route_asks_for(rules: RouteCredentials, kind: str, expected: Reason | None) -> None:
    assert await reason(stage([trusted(ISSUER)], TRUST, rules), sent(kind)) is expected


async def test_both_identities_are_present_at_once() -> None:
    answer = await ask(stage([trusted(ISSUER)], TRUST), sent("token+cert"))
    assert isinstance(answer, Principal)
    assert answer.user is not None
    assert answer.workload is not None
    assert answer.caller == answer.user.id == f"{ISSUER.url}/alice"
    assert answer.workload.id == "spiffe://cluster.local/ns/default/sa/web"
    assert answer.user.issuer_name == "corp"
    assert answer.user.claims["aud"] == ["api-service", "inventory"]


async def test_ignored_credentials_name_nobody() -> None:
    answer = await ask(stage([trusted(ISSUER)], TRUST, IGNORING), sent("token+cert"))
    assert isinstance(answer, Principal)
    assert answer.anonymous


@pytest.mark.parametrize(
    ("issuers", "rules", "kind", "certificate"),
    [
        pytest.param(True, route(), "none+none", False, id="a-token-would-do"),
        pytest.param(False, route(), "none+none", True, id="no-issuer-at-all"),
        pytest.param(True, CERTIFICATE, "token+none", True, id="the-route-requires-it"),
        pytest.param(False, route(), "none+expired", True, id="a-better-certificate"),
        pytest.param(True, route(), "none+expired", False, id="a-token-instead"),
        pytest.param(False, route(), "token+none", True, id="a-token-where-none-is-taken"),
    ],
)
async def test_a_challenge_says_where_only_a_certificate_would_do(
    issuers: bool, rules: RouteCredentials, kind: str, certificate: bool
) -> None:
    answer = await ask(stage([trusted(ISSUER)] if issuers else [], TRUST, rules), sent(kind))
    assert isinstance(answer, Refused)
    assert answer.reason.status == 401
    assert bool(answer.challenge and answer.challenge.certificate) is certificate


async def test_a_listener_without_tls_has_no_certificates() -> None:
    ctx = request(bearer(), now=NOW)
    object.__setattr__(ctx.connection, "tls", None)
    assert await reason(stage([trusted(ISSUER)]), ctx) is None


async def test_any_audience_where_the_file_says_so() -> None:
    judged = stage([trusted(ISSUER, audiences=None)])
    assert await reason(judged, request(bearer(aud="whatever"), now=NOW)) is None
    assert await reason(judged, request(bearer(aud=[]), now=NOW)) is Reason.TOKEN_AUDIENCE


async def test_a_remembered_token_waits_for_nothing() -> None:
    judged = stage([trusted(ISSUER)], TRUST)
    ctx = sent("token+cert")
    await ask(judged, ctx)
    running = judged(ctx, ROUTE).__await__()
    with pytest.raises(StopIteration):
        next(running)
