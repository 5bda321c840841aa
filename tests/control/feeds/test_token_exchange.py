"""The client that exchanges tokens, against a real provider and against endpoints that answer oddly."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.control.feeds.oauth_client import ClientSettings
from gateway.control.feeds.token_exchange import ExchangeClient, ExchangeSettings
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.token_exchange import NewToken
from gateway.testing.keys import new_key, private_pem, write_private
from gateway.testing.provider import Client, Provider, live_provider
from tests.control.feeds.introspecting import Introspection, introspection

GATEWAY = Client("gateway", "s3cret", exchanges=frozenset({"stock-api"}))
TYPE = "urn:ietf:params:oauth:token-type:access_token"
GOOD = {"access_token": "new.token", "token_type": "Bearer", "issued_token_type": TYPE, "expires_in": 60}


def settings(issuer: str, url: str | None = None, **changes: Any) -> ExchangeSettings:
    client: dict[str, Any] = {"method": "client_secret_basic", "secret": "s3cret", "client_id": "gateway"}
    asked: dict[str, Any] = {"audiences": ("stock-api",), "resources": (), "scopes": (), "cache": 300.0}
    for name, value in changes.items():
        (asked if name in asked else client)[name] = value
    return ExchangeSettings(ClientSettings(issuer, url, None, **client), "corp", **asked)


async def exchange(asked: ExchangeSettings, token: str) -> NewToken:
    client = ExchangeClient(asked)
    try:
        return await client.exchange(token)
    finally:
        await client.close()


async def refused(asked: ExchangeSettings, token: str) -> Refused:
    with pytest.raises(Refused) as caught:
        await exchange(asked, token)
    assert token not in caught.value.detail
    assert "s3cret" not in caught.value.detail
    return caught.value


def claims(provider: Provider, token: str) -> dict[str, Any]:
    return jwt.decode(token, KeySet.import_key_set(provider.issuer.jwks()), ["ES256"]).claims


async def test_a_provider_exchanges_a_token_for_the_upstreams() -> None:
    async with live_provider(clients=[GATEWAY]) as provider:
        issuer = provider.issuer
        old = issuer.token("alice", lifetime=120, scope="read write")
        new = await exchange(settings(issuer.url, scopes=("read",)), old)
        got = claims(provider, new.text)
        assert (got["sub"], got["aud"], got["scope"], got["act"]) == ("alice", "stock-api", "read", {"sub": "gateway"})
        assert new.life is not None
        assert 100 < new.life <= 120  # never past the old one


@pytest.mark.parametrize(
    ("changes", "token", "reason"),
    [
        pytest.param({"audiences": ("other",)}, {}, Reason.EXCHANGE_REFUSED, id="another-target"),
        pytest.param({"scopes": ("admin",)}, {}, Reason.EXCHANGE_REFUSED, id="another-scope"),
        pytest.param({}, {"lifetime": -10}, Reason.TOKEN_REVOKED, id="an-expired-token"),
        pytest.param({}, {"sign": lambda _: b"\0" * 64}, Reason.EXCHANGE_REFUSED, id="a-forged-token"),
        pytest.param({"secret": "wrong"}, {}, Reason.EXCHANGE_UNAVAILABLE, id="our-own-client-refused"),
    ],
)
async def test_what_a_provider_refuses(changes: dict[str, Any], token: dict[str, Any], reason: Reason) -> None:
    async with live_provider(clients=[GATEWAY]) as provider:
        found = await refused(settings(provider.issuer.url, **changes), provider.issuer.token(**token))
        assert found.reason is reason


async def test_what_is_asked_stands_in_the_form_and_each_way_to_prove_who_asks_is_one_of_introspections(
    tmp_path: Path,
) -> None:
    key = write_private(tmp_path / "client.key", private_pem(new_key("p256")))
    more = {"audiences": ("a", "b"), "resources": ("https://stock.example/",), "scopes": ("read", "write")}
    async with introspection() as endpoint:
        endpoint.body = json.dumps(GOOD).encode()
        assert await exchange(settings(endpoint.url, endpoint.endpoint, **more), "old") == NewToken("new.token", 60.0)
        await exchange(settings(endpoint.url, endpoint.endpoint, method="client_secret_post"), "old")
        await exchange(settings(endpoint.url, endpoint.endpoint, method="private_key_jwt", secret=None, key=key), "old")
        first, posted, signed = endpoint.asked
        assert first.form == {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": "old",
            "subject_token_type": TYPE,
            "requested_token_type": TYPE,
            "audience": "a",
            "resource": "https://stock.example/",
            "scope": "read write",
        }
        assert first.basic == ("gateway", "s3cret")
        assert posted.form["client_secret"] == "s3cret"
        assert signed.form["client_assertion_type"].endswith("jwt-bearer")


async def odd(endpoint: Introspection, status: int, body: Any, **headers: str) -> Refused:
    endpoint.status, endpoint.headers = status, headers
    endpoint.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await refused(settings(endpoint.url, endpoint.endpoint), "opaque-token-1")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        pytest.param(400, {"error": "invalid_grant"}, Reason.TOKEN_REVOKED, id="invalid-grant"),
        pytest.param(401, {"error": "invalid_token"}, Reason.TOKEN_REVOKED, id="invalid-token"),
        pytest.param(400, {"error": "invalid_target"}, Reason.EXCHANGE_REFUSED, id="invalid-target"),
        pytest.param(400, {"error": "invalid_request"}, Reason.EXCHANGE_REFUSED, id="invalid-request"),
        pytest.param(403, {"error": "access_denied"}, Reason.EXCHANGE_REFUSED, id="access-denied"),
        pytest.param(401, {"error": "invalid_client"}, Reason.EXCHANGE_UNAVAILABLE, id="invalid-client"),
        pytest.param(400, {"error": "unsupported_grant_type"}, Reason.EXCHANGE_UNAVAILABLE, id="no-such-grant"),
        pytest.param(400, {"error": "opaque-token-1"}, Reason.EXCHANGE_UNAVAILABLE, id="an-error-that-is-not-known"),
        pytest.param(400, b"<html>", Reason.EXCHANGE_UNAVAILABLE, id="no-json-in-a-refusal"),
        pytest.param(404, {"error": "invalid_grant"}, Reason.EXCHANGE_UNAVAILABLE, id="another-status"),
        pytest.param(503, b"", Reason.EXCHANGE_UNAVAILABLE, id="outage"),
        pytest.param(302, b"", Reason.EXCHANGE_UNAVAILABLE, id="K2-redirect"),
        pytest.param(200, b"<html>", Reason.EXCHANGE_UNAVAILABLE, id="no-json"),
        pytest.param(200, b'{"expires_in":1,"expires_in":2}', Reason.EXCHANGE_UNAVAILABLE, id="J5-member-twice"),
        pytest.param(200, b" " * 300_000, Reason.EXCHANGE_UNAVAILABLE, id="K3-too-long"),
        pytest.param(200, {**GOOD, "access_token": ""}, Reason.EXCHANGE_UNAVAILABLE, id="an-empty-token"),
        pytest.param(200, {**GOOD, "access_token": 7}, Reason.EXCHANGE_UNAVAILABLE, id="no-text"),
        pytest.param(200, {**GOOD, "access_token": "a\r\nx: y"}, Reason.EXCHANGE_UNAVAILABLE, id="H18-line-break"),
        pytest.param(200, {**GOOD, "access_token": "a b"}, Reason.EXCHANGE_UNAVAILABLE, id="H18-space"),
        pytest.param(200, {**GOOD, "access_token": "a" * 20_000}, Reason.EXCHANGE_UNAVAILABLE, id="K3-long-token"),
        pytest.param(200, {**GOOD, "token_type": "DPoP"}, Reason.EXCHANGE_UNAVAILABLE, id="bound-to-a-key"),
        pytest.param(200, {**GOOD, "token_type": "N_A"}, Reason.EXCHANGE_UNAVAILABLE, id="no-access-token"),
        pytest.param(200, {**GOOD, "issued_token_type": None}, Reason.EXCHANGE_UNAVAILABLE, id="no-type"),
        pytest.param(
            200,
            {**GOOD, "issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
            Reason.EXCHANGE_UNAVAILABLE,
            id="a-refresh-token",
        ),
    ],
)
async def test_what_an_odd_answer_means(status: int, body: Any, reason: Reason) -> None:
    async with introspection() as endpoint:
        location = {"location": "https://evil.example/"} if status == 302 else {}
        found = await odd(endpoint, status, body, **location)
        assert found.reason is reason
        assert (found.retry_after is not None) == (reason is Reason.EXCHANGE_UNAVAILABLE)


@pytest.mark.parametrize("life", [None, "60", True, -5])
async def test_a_life_that_is_no_number_is_not_told(life: Any) -> None:
    async with introspection() as endpoint:
        endpoint.body = json.dumps({**GOOD, "expires_in": life}).encode()
        new = await exchange(settings(endpoint.url, endpoint.endpoint), "old")
        assert new.life == (0.0 if life == -5 else None)


async def test_K2_an_endpoint_that_was_learned_may_not_be_elsewhere_on_this_machine() -> None:
    async with live_provider(clients=[GATEWAY]) as provider:
        elsewhere = provider.issuer.url.replace("127.0.0.1", "localhost")
        provider.metadata = lambda: {"issuer": provider.issuer.url, "token_endpoint": elsewhere}  # type: ignore[method-assign]
        found = await refused(settings(provider.issuer.url), "old-token")
        assert "localhost resolves to a loopback address" in found.detail
