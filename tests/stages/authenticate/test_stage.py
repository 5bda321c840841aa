"""The stage: which credential is asked for, which counts, and what its refusals carry."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.kernel.cells import Metrics
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate import RouteCredentials
from gateway.testing.ca import Authority
from gateway.testing.clock import Clock
from gateway.testing.dpop import Holder
from gateway.testing.issuer import Issuer
from tests.due import due
from tests.stages.authenticate.asking import ROUTE, Held, ask, reason, request, stage, trust, trusted

AUTHORITY = Authority("cluster.local")
WEB = AUTHORITY.issue(uri="spiffe://cluster.local/ns/default/sa/web")
EXPIRED = AUTHORITY.issue(
    uri="spiffe://cluster.local/ns/default/sa/web", not_after=datetime.now(UTC) - timedelta(hours=1)
)
NOW = time.time()
ISSUER = Issuer(audience=["api-service", "inventory"], clock=lambda: NOW)
OTHER = Issuer("https://trial.example", clock=lambda: NOW)
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
    judged, asking = stage([trusted(ISSUER)], TRUST, rules), sent(kind)
    assert await reason(judged, asking) is expected
    assert await reason(judged, asking) is expected  # a remembered token is judged as a new one


async def test_J23_the_time_of_a_remembered_token_is_judged_each_time() -> None:
    judged, token = stage([trusted(ISSUER, clock_skew=0.0)], TRUST), bearer(iat=NOW - 60, nbf=NOW - 5, exp=NOW + 10)
    for at, expected in ((0, None), (9.9, None), (10, Reason.TOKEN_EXPIRED), (-5.1, Reason.TOKEN_NOT_YET_VALID)):
        assert await reason(judged, request(token, now=NOW + at)) is expected


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
    assert isinstance(judged(ctx, ROUTE), Principal)


async def test_a_proof_that_is_remembered_here_waits_for_nothing() -> None:
    holder = Holder(clock=Clock(NOW))
    token = ISSUER.token(cnf={"jkt": holder.thumbprint})
    proof = holder.proof("GET", "https://api.example.com/api", token)
    ctx = request(f"DPoP {token}", now=NOW, headers={"dpop": (proof,)})
    running = due(stage([trusted(ISSUER)])(ctx, ROUTE))
    with pytest.raises(StopIteration):
        running.send(None)


SHADOW = trusted(ISSUER, shadow=True, name="trial")
SHADOW_CASES = [
    ("holds", "token+none", route(), Reason.CREDENTIALS_MISSING, Effect.ALLOW),
    ("holds-beside-a-certificate", "token+cert", route(), None, Effect.ALLOW),
    ("does-not-hold-beside-a-certificate", "late+cert", route(), None, Effect.CHALLENGE),
    ("holds-on-a-public-route", "token+none", PUBLIC, None, Effect.ALLOW),
    ("expired", "late+none", route(), Reason.CREDENTIALS_MISSING, Effect.CHALLENGE),
    ("expired-on-a-public-route", "late+none", PUBLIC, None, Effect.CHALLENGE),
    ("another-audience", "other+cert", route(), None, Effect.CHALLENGE),
    ("the-routes-audience", "token+cert", INVENTORY, Reason.CREDENTIALS_MISSING, Effect.ALLOW),
    ("beside-a-bad-certificate", "token+expired", route(), Reason.CERTIFICATE_EXPIRED, None),
]


@pytest.mark.parametrize(
    ("kind", "rules", "expected", "would"), [pytest.param(*case[1:], id=f"shadow-{case[0]}") for case in SHADOW_CASES]
)
async def test_a_token_under_an_issuer_in_shadow_counts_as_not_sent(
    kind: str, rules: RouteCredentials, expected: Reason | None, would: Effect | None
) -> None:
    answer = await ask(stage([SHADOW], TRUST, rules), sent(kind))
    assert (answer.reason if isinstance(answer, Refused) else None) is expected
    assert [(s.kind, s.name, s.effect) for s in answer.shadows] == ([("issuer", "trial", would)] if would else [])
    if isinstance(answer, Principal):
        assert answer.user is None
    elif expected is Reason.CREDENTIALS_MISSING:
        assert not answer.failed_credential


@pytest.mark.parametrize(
    ("make", "would"),
    [
        pytest.param(lambda: ISSUER.token(sign=lambda _: bytes(64)), Effect.CHALLENGE, id="forged"),
        pytest.param(lambda: ISSUER.token(headers={"alg": "RS512"}), Effect.CHALLENGE, id="another-algorithm"),
        pytest.param(lambda: ISSUER.token(cnf={"jkt": "x"}), Effect.CHALLENGE, id="bound-and-no-proof"),
        pytest.param(lambda: ISSUER.token(headers={"kid": "new"}), Effect.CHALLENGE, id="unknown-key"),
    ],
)
async def test_what_is_wrong_with_it_is_found_and_decides_nothing(make: Any, would: Effect) -> None:
    answer = await ask(stage([SHADOW], TRUST), request(f"Bearer {make()}", WEB.ders, now=NOW))
    assert isinstance(answer, Principal)
    assert [shadow.effect for shadow in answer.shadows] == [would]


async def test_keys_that_cannot_be_had_are_no_outage_in_shadow() -> None:
    entry = trusted(ISSUER, shadow=True, keys=Held(None))
    answer = await ask(stage([entry], TRUST), request(bearer(), WEB.ders, now=NOW))
    assert isinstance(answer, Principal)
    assert [shadow.effect for shadow in answer.shadows] == [Effect.ERROR]


async def test_beside_an_issuer_in_shadow_the_others_are_enforced() -> None:
    other = Issuer("https://other.example", clock=lambda: NOW)
    judged = stage([SHADOW, trusted(other)], TRUST)
    answer = await ask(judged, request(f"Bearer {other.token()}", now=NOW))
    assert isinstance(answer, Principal)
    assert answer.user is not None
    assert answer.shadows == ()
    assert await reason(judged, request(f"Bearer {other.token(exp=1)}", now=NOW)) is Reason.TOKEN_EXPIRED
    assert await reason(judged, request("Bearer nonsense", now=NOW)) is Reason.TOKEN_MALFORMED


async def test_each_credential_that_is_judged_is_counted_once() -> None:
    metrics = Metrics()
    judged = stage([trusted(ISSUER), trusted(OTHER, shadow=True)], TRUST, metrics=metrics)
    for ctx in (
        sent("none+none"),
        sent("token+none"),
        sent("token+cert"),
        sent("none+cert"),
        sent("late+cert"),
        sent("other+expired"),
        sent("none+expired"),
        request("Bearer x", now=NOW),
        request(f"DPoP {ISSUER.token()}", now=NOW),
        request(f"Bearer {OTHER.token()}", now=NOW),
        request(f"Bearer {OTHER.token(exp=1)}", now=NOW),
    ):
        await ask(judged, ctx)
    assert dict(metrics.authentications.rows()) == {
        ("jwt", "ok", ""): 2.0,
        ("certificate", "ok", ""): 2.0,
        ("jwt", "refused", "token_expired"): 1.0,
        ("jwt", "refused", "token_audience"): 1.0,
        ("certificate", "refused", "certificate_expired"): 2.0,
        ("jwt", "refused", "token_malformed"): 1.0,
        ("jwt", "refused", "binding_missing"): 1.0,
        ("jwt", "shadow_ok", ""): 1.0,
        ("jwt", "shadow_refused", "token_expired"): 1.0,
    }
