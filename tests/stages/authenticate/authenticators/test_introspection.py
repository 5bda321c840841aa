"""Opaque tokens, asked about at a real endpoint: what an answer proves, for how long, and how often it is asked for."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gateway.control.feeds.introspection import IntrospectionClient
from gateway.control.feeds.oauth_client import ClientSettings
from gateway.kernel.cells import Metrics
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate import Authenticate
from gateway.stages.authenticate.authenticators.introspection import IntrospectingVerifier, Introspector, is_jwt
from gateway.stages.authenticate.authenticators.jwt import JwtVerifier
from gateway.testing.clock import Clock
from gateway.testing.dpop import Holder
from gateway.testing.issuer import Issuer, base64url
from gateway.testing.wait import until
from tests.control.feeds.introspecting import Introspection, introspection
from tests.stages.authenticate.asking import NOW, ask, reason, request, stage, trusted

CLOCK = Clock(NOW)
HOLDER = Holder(clock=CLOCK)
OPAQUE = "mF_9.B5f-4.1JqM"
MALFORMED, REVOKED, UNAVAILABLE = Reason.TOKEN_MALFORMED, Reason.TOKEN_REVOKED, Reason.INTROSPECTION_UNAVAILABLE


class Scene:
    """A stage whose one issuer introspects."""

    def __init__(self, endpoint: Introspection, client: IntrospectionClient, **options: Any) -> None:
        self.endpoint = endpoint
        self.issuer = Issuer(endpoint.url, clock=CLOCK)
        self.metrics = Metrics()
        settings = {name: options.pop(name) for name in ("cache", "all_tokens", "capacity") if name in options}
        entry = trusted(self.issuer, **options)
        asking = Introspector(entry, client, **{"cache": 10.0, **settings})
        self.stage: Authenticate = stage(
            tokens=IntrospectingVerifier(JwtVerifier([entry]), asking), metrics=self.metrics
        )

    def says(self, token: str = OPAQUE, **claims: Any) -> None:
        right = {"active": True, "iss": self.endpoint.url, "sub": "alice", "aud": "api-service", "exp": NOW + 300}
        self.endpoint.answers[token] = {n: v for n, v in {**right, **claims}.items() if v is not None}

    async def ask(self, token: str = OPAQUE, *, now: float = NOW, **more: Any) -> Principal | Refused:
        return await ask(self.stage, request(f"Bearer {token}", now=now, **more))

    async def reason(self, token: str = OPAQUE, *, now: float = NOW) -> Reason | None:
        return await reason(self.stage, request(f"Bearer {token}", now=now))


@contextlib.asynccontextmanager
async def scene(**options: Any) -> AsyncGenerator[Scene]:
    async with introspection() as endpoint:
        client = IntrospectionClient(
            ClientSettings(endpoint.url, f"{endpoint.url}/introspect", None, "gateway", "client_secret_basic", "secret")
        )
        try:
            yield Scene(endpoint, client, **options)
        finally:
            await client.close()


async def test_an_active_token_proves_its_user() -> None:
    async with scene() as on:
        on.says(scope="read write", client_id="web")
        answer = await on.ask()
        assert isinstance(answer, Principal)
        assert answer.user is not None
        assert answer.user.id == f"{on.endpoint.url}/alice"
        assert answer.user.claims["scope"] == "read write"
        assert "active" not in answer.user.claims
        assert answer.user.expires == NOW + 360  # exp and the clock skew
        assert dict(on.metrics.authentications.rows()) == {("introspection", "ok", ""): 1.0}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param({}, None, id="J23-accepts-active"),
        pytest.param({"active": False}, REVOKED, id="J37-not-active"),
        pytest.param({"active": "true"}, UNAVAILABLE, id="J7-active-is-text"),
        pytest.param({"active": 1}, UNAVAILABLE, id="J7-active-is-a-number"),
        pytest.param({"active": None}, UNAVAILABLE, id="J7-no-active"),
        pytest.param({"iss": None}, None, id="J21-accepts-no-iss"),
        pytest.param({"iss": "https://other.example"}, Reason.TOKEN_ISSUER, id="J21-another-iss"),
        pytest.param({"iss": 1}, Reason.TOKEN_ISSUER, id="J21-iss-is-a-number"),
        pytest.param({"aud": None}, Reason.TOKEN_AUDIENCE, id="J22-no-aud"),
        pytest.param({"aud": []}, Reason.TOKEN_AUDIENCE, id="J22-empty-aud"),
        pytest.param({"aud": "other"}, Reason.TOKEN_AUDIENCE, id="J22-another-aud"),
        pytest.param({"aud": ["other", "api-service"]}, None, id="J22-accepts-a-list"),
        pytest.param({"exp": None}, None, id="J23-accepts-no-exp"),
        pytest.param({"exp": NOW - 61}, Reason.TOKEN_EXPIRED, id="J23-active-and-expired"),
        pytest.param({"exp": str(int(NOW) + 300)}, MALFORMED, id="J23-exp-is-text"),
        pytest.param({"nbf": NOW + 61}, Reason.TOKEN_NOT_YET_VALID, id="J24-nbf-in-the-future"),
        pytest.param({"nbf": NOW + 59}, None, id="J24-accepts-nbf-within-the-skew"),
        pytest.param({"sub": None, "client_id": "web"}, None, id="J27-accepts-client_id-for-sub"),
        pytest.param({"sub": None}, MALFORMED, id="J27-nobody"),
        pytest.param({"sub": "", "client_id": "web"}, MALFORMED, id="J27-empty-sub"),
        pytest.param({"sub": 7, "client_id": "web"}, MALFORMED, id="J27-sub-is-a-number"),
        pytest.param({"cnf": {"jkt": HOLDER.thumbprint}}, Reason.BINDING_MISSING, id="J34-bound-to-a-key"),
        pytest.param({"cnf": {"x5t#S256": "x"}}, Reason.BINDING_MISSING, id="J34-bound-to-a-certificate"),
        pytest.param({"cnf": "x"}, MALFORMED, id="J34-cnf-is-text"),
        pytest.param({"token_type": "Bearer"}, None, id="J25-accepts-token_type"),
        pytest.param({"token_type": "refresh_token"}, Reason.TOKEN_TYPE, id="J25-refresh-token"),
        pytest.param({"typ": "Refresh"}, Reason.TOKEN_TYPE, id="J25-refresh-token-of-keycloak"),
        pytest.param({"typ": "ID"}, Reason.TOKEN_TYPE, id="J25-id-token-of-keycloak"),
        pytest.param({"at_hash": "x"}, Reason.TOKEN_TYPE, id="J25-id-token"),
    ],
)
async def test_an_answer_is_judged_like_a_jwt(claims: dict[str, Any], expected: Reason | None) -> None:
    async with scene() as on:
        on.says(**claims)
        for _ in range(2):  # from the cache as from the issuer
            assert await on.reason() is expected
        if claims.get("client_id") and expected is None:
            answer = await on.ask()
            assert isinstance(answer, Principal)
            assert answer.user is not None
            assert answer.user.subject == "web"


async def test_any_audience_needs_no_aud() -> None:
    async with scene(audiences=None) as on:
        on.says(aud=None)
        assert await on.reason() is None


def headed(header: str) -> str:
    return base64url(header.encode())


@pytest.mark.parametrize(
    ("token", "expected", "asked"),
    [
        pytest.param(OPAQUE, REVOKED, 1, id="J1-opaque-with-dots"),
        pytest.param("2YotnFZFEjr1zCsicMWpAA", REVOKED, 1, id="J1-opaque"),
        pytest.param("a+b/c==", REVOKED, 1, id="J30-token68"),
        pytest.param("eyJpdiI6MX0", REVOKED, 1, id="J1-json-without-segments"),
        pytest.param(headed("{}") + ".e30.AA", REVOKED, 1, id="J1-json-that-is-no-header"),
        pytest.param(headed('{ "alg":"none"}') + ".e30.", Reason.TOKEN_ALGORITHM, 0, id="J12-none"),
        pytest.param(headed('{\n"alg":"HS256"}') + ".e30.AA", Reason.TOKEN_ALGORITHM, 0, id="J13-hs256"),
        pytest.param(headed('{"alg":"ES256"}') + ".e30", MALFORMED, 0, id="J1-jwt-of-two-segments"),
        pytest.param(headed('{"alg":"dir"}') + "....", MALFORMED, 0, id="J1-jwe"),
        pytest.param(headed('{"alg":1,"alg":2}') + ".e30.AA", MALFORMED, 0, id="J5-header-twice"),
        pytest.param("a b", MALFORMED, 0, id="J30-space-inside"),
        pytest.param("a,b", MALFORMED, 0, id="J30-comma-inside"),
        pytest.param("tökén", MALFORMED, 0, id="J2-not-ascii"),
        pytest.param("x" * 8193, MALFORMED, 0, id="J3-over-8-kB"),
        pytest.param("x" * 8192, REVOKED, 1, id="J3-accepts-8-kB"),
    ],
)
async def test_what_is_no_jwt_is_asked_about_and_nothing_else(token: str, expected: Reason, asked: int) -> None:
    async with scene() as on:
        assert await on.reason(token) is expected
        assert len(on.endpoint.asked) == asked


async def test_jwts_are_verified_and_not_asked_about() -> None:
    async with scene() as on:
        assert await on.reason(on.issuer.token()) is None
        assert await on.reason(on.issuer.token(exp=1)) is Reason.TOKEN_EXPIRED
        assert on.endpoint.asked == []


async def test_with_all_a_jwt_must_verify_and_be_active() -> None:
    async with scene(all_tokens=True) as on:
        token, gone = on.issuer.token(), on.issuer.token("bob")
        on.says(token)
        assert await on.reason(token) is None
        assert await on.reason(gone) is REVOKED
        assert await on.reason(on.issuer.token(sign=lambda _: bytes(64))) is Reason.TOKEN_SIGNATURE
        assert len(on.endpoint.asked) == 2  # what does not verify is no reason to ask
        on.endpoint.answers.clear()
        assert await on.reason(token, now=NOW + 11) is REVOKED


async def test_an_answer_counts_for_its_time_and_no_longer() -> None:
    async with scene() as on:
        on.says()
        assert await on.reason() is None
        on.endpoint.answers.clear()
        assert await on.reason(now=NOW + 9.9) is None
        assert len(on.endpoint.asked) == 1
        assert await on.reason(now=NOW + 10) is REVOKED
        on.says()
        assert await on.reason(now=NOW + 19.9) is REVOKED  # a "no" counts too
        assert await on.reason(now=NOW + 20) is None
        assert len(on.endpoint.asked) == 3


async def test_an_answer_never_counts_past_exp() -> None:
    async with scene() as on:
        on.says(exp=NOW + 3)
        assert await on.reason() is None
        on.endpoint.answers.clear()
        assert await on.reason(now=NOW + 2.9) is None
        assert await on.reason(now=NOW + 3) is REVOKED


async def test_without_a_cache_each_request_asks() -> None:
    async with scene(cache=0.0) as on:
        on.says()
        assert await on.reason() is None
        on.endpoint.answers.clear()
        assert await on.reason() is REVOKED


async def test_the_cache_is_bounded() -> None:
    async with scene(capacity=2) as on:
        for token in ("a", "b", "c", "c", "b", "a"):
            await on.reason(token)
        assert [question.form["token"] for question in on.endpoint.asked] == ["a", "b", "c", "a"]


async def test_an_outage_is_503_and_the_cache_bridges_it_only_until_it_ends() -> None:
    async with scene() as on:
        on.says()
        assert await on.reason() is None
        on.endpoint.status = 503
        assert await on.reason(now=NOW + 9) is None
        answer = await on.ask(now=NOW + 10)
        assert isinstance(answer, Refused)
        assert (answer.reason, answer.retry_after) == (UNAVAILABLE, 1)
        on.endpoint.status = 200
        assert await on.reason(now=NOW + 10) is None  # a failure is not remembered


async def test_our_own_client_refused_is_no_verdict_on_a_token() -> None:
    async with scene() as on:
        on.endpoint.status = 401
        assert await on.reason() is UNAVAILABLE
        assert ("introspection", "refused", "introspection_unavailable") in dict(on.metrics.authentications.rows())


async def test_one_question_in_flight_a_token() -> None:
    async with scene() as on:
        on.says()
        on.endpoint.hold = asyncio.Event()
        requests = [asyncio.ensure_future(on.reason()) for _ in range(20)]
        other = asyncio.ensure_future(on.reason("another"))
        await until(lambda: len(on.endpoint.asked) == 2, what="both questions")
        on.endpoint.hold.set()
        assert await asyncio.gather(*requests, other) == [None] * 20 + [REVOKED]
        assert len(on.endpoint.asked) == 2


async def test_who_asked_first_may_go_away() -> None:
    async with scene() as on:
        on.says()
        on.endpoint.hold = asyncio.Event()
        first = asyncio.ensure_future(on.reason())
        await until(lambda: on.endpoint.asked, what="the question")
        second = asyncio.ensure_future(on.reason())
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        on.endpoint.hold.set()
        assert await second is None
        assert len(on.endpoint.asked) == 1


async def test_a_failure_reaches_all_who_wait_and_nobody_else() -> None:
    async with scene() as on:
        on.endpoint.hold, on.endpoint.status = asyncio.Event(), 500
        waiting = [asyncio.ensure_future(on.reason()) for _ in range(3)]
        await until(lambda: on.endpoint.asked, what="the question")
        on.endpoint.hold.set()
        assert await asyncio.gather(*waiting) == [UNAVAILABLE] * 3
        on.endpoint.status = 200
        assert await on.reason() is REVOKED


async def test_a_remembered_answer_waits_for_nothing() -> None:
    async with scene() as on:
        on.says()
        await on.ask()
        running = on.ask().__await__()
        with pytest.raises(StopIteration):
            next(running)


async def test_J35_an_opaque_token_is_held_to_its_key() -> None:
    async with scene() as on:
        on.says(cnf={"jkt": HOLDER.thumbprint})
        proof = HOLDER.proof("GET", "https://api.example.com/api", OPAQUE)
        judged = request(f"DPoP {OPAQUE}", headers={"dpop": (proof,)})
        assert await reason(on.stage, judged) is None
        assert await reason(on.stage, judged) is Reason.DPOP_INVALID


@pytest.mark.parametrize(
    ("status", "active", "would"),
    [(200, True, Effect.ALLOW), (200, False, Effect.CHALLENGE), (503, True, Effect.ERROR)],
)
async def test_in_shadow_an_opaque_token_counts_as_not_sent(status: int, active: bool, would: Effect) -> None:
    async with scene(shadow=True) as on:
        on.says(active=active)
        on.endpoint.status = status
        answer = await on.ask()
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.CREDENTIALS_MISSING
        assert [(shadow.kind, shadow.effect) for shadow in answer.shadows] == [("issuer", would)]


def test_what_begins_like_a_jwt() -> None:
    assert is_jwt(Issuer().token())
    assert is_jwt("eyJhbGciOiJub25lIn0.e30.")
    assert not is_jwt("eyJhbGciOiJub25lIn0")
    assert not is_jwt("v2.local.xyz")
    assert not is_jwt("")
