"""The client that asks about tokens, against a real endpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.control.feeds.introspection import IntrospectionClient
from gateway.control.feeds.oauth_client import ClientSettings
from gateway.stages.authenticate.authenticators.introspection import Unanswered
from gateway.testing.ca import Authority
from gateway.testing.keys import new_key, private_pem, public_pem, write_private
from gateway.testing.tls import server_context
from tests.control.feeds.introspecting import introspection

GOOD = {"active": True, "sub": "alice"}


def settings(at: str, **changes: Any) -> ClientSettings:
    values: dict[str, Any] = {
        "issuer": at,
        "url": f"{at}/introspect",
        "ca": None,
        "client_id": "gateway",
        "method": "client_secret_basic",
        "secret": "s3cret",
    }
    return ClientSettings(**{**values, **changes})


async def asked(at: str, token: str = "opaque", **changes: Any) -> dict[str, Any]:
    client = IntrospectionClient(settings(at, **changes))
    try:
        return await client.ask(token)
    finally:
        await client.close()


async def test_it_asks_by_post_with_the_secret_in_the_head() -> None:
    async with introspection() as endpoint:
        endpoint.answers["opaque"] = GOOD
        assert await asked(endpoint.url, client_id="gate way", secret="p:ss%+ö") == GOOD
        assert await asked(endpoint.url, "other") == {"active": False}
        first = endpoint.asked[0]
        assert first.basic == ("gate way", "p:ss%+ö")
        assert first.form == {"token": "opaque", "token_type_hint": "access_token"}
        assert first.headers["content-type"].startswith("application/x-www-form-urlencoded")
        assert first.headers["accept"] == "application/json"


async def test_a_token_stands_whole_in_the_body() -> None:
    async with introspection() as endpoint:
        await asked(endpoint.url, "a+b/c~d==")
        assert endpoint.asked[0].form["token"] == "a+b/c~d=="


async def test_the_secret_may_stand_in_the_body() -> None:
    async with introspection() as endpoint:
        await asked(endpoint.url, method="client_secret_post")
        assert endpoint.asked[0].form["client_id"] == "gateway"
        assert endpoint.asked[0].form["client_secret"] == "s3cret"
        assert endpoint.asked[0].form["token"] == "opaque"
        assert "authorization" not in endpoint.asked[0].headers


async def test_a_signed_assertion_proves_who_asks_anew_each_time(tmp_path: Path) -> None:
    key = new_key("p256")
    path = write_private(tmp_path / "client.key", private_pem(key))
    async with introspection() as endpoint:
        client = IntrospectionClient(
            settings(endpoint.url, method="private_key_jwt", secret=None, key=path, key_id="k1")
        )
        await client.ask("opaque")
        await client.ask("opaque")
        await client.close()
        seen = set()
        for question in endpoint.asked:
            assert question.form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            assertion = jwt.decode(
                question.form["client_assertion"], ECKey.import_key(public_pem(key)), algorithms=["ES256"]
            )
            claims = assertion.claims
            assert (claims["iss"], claims["sub"], claims["aud"]) == ("gateway", "gateway", endpoint.url)
            assert assertion.header["kid"] == "k1"
            assert claims["exp"] - claims["iat"] == 60
            seen.add(claims["jti"])
        assert len(seen) == 2


async def test_a_certificate_proves_who_asks_and_a_new_one_is_taken_up(tmp_path: Path) -> None:
    authority = Authority("cluster.local")
    ca = authority.write(tmp_path, "ca")
    served = authority.issue(dns=["localhost"], ips=["127.0.0.1"])
    files = authority.issue(uri="spiffe://cluster.local/gateway").write(tmp_path, "client")
    async with introspection(tls=server_context(served, [authority])) as endpoint:
        endpoint.answers["opaque"] = GOOD
        held: dict[str, Any] = {"method": "tls_client_auth", "secret": None, "ca": ca}
        assert await asked(endpoint.url, certificate=files.certificate, key=files.key, **held) == GOOD
        assert endpoint.asked[0].form["client_id"] == "gateway"
        with pytest.raises(Unanswered):
            await asked(endpoint.url, ca=ca)  # the endpoint requires a certificate
        stranger = Authority("cluster.local").issue(uri="spiffe://cluster.local/gateway").write(tmp_path, "rotating")
        client = IntrospectionClient(settings(endpoint.url, certificate=stranger.certificate, key=stranger.key, **held))
        with pytest.raises(Unanswered):
            await client.ask("opaque")
        authority.issue(uri="spiffe://cluster.local/gateway").write(tmp_path, "rotating")
        assert await client.ask("opaque") == GOOD
        await client.close()


async def test_where_to_ask_is_discovered() -> None:
    async with introspection() as endpoint:
        endpoint.answers["opaque"] = GOOD
        assert await asked(endpoint.url, url=None) == GOOD


@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        pytest.param(401, b"", {}, "refuses this gateway as a client", id="our-client-refused"),
        pytest.param(400, b'{"error":"invalid_client"}', {}, "refuses this gateway", id="our-request-refused"),
        pytest.param(503, b"", {}, "status 503", id="outage"),
        pytest.param(302, b"", {"location": "https://evil.example/"}, "status 302", id="K2-redirect"),
        pytest.param(200, b"<html>", {}, "not JSON", id="no-json"),
        pytest.param(200, b'{"active":true,"active":false}', {}, "twice", id="J5-member-twice"),
        pytest.param(200, b"[]", {}, "not a JSON object", id="no-object"),
        pytest.param(200, b" " * 300_000, {}, "more than 256 kB", id="K3-too-long"),
        pytest.param(200, b"\x1f\x8b", {"content-encoding": "gzip"}, "encoding", id="K3-encoding"),
    ],
)
async def test_what_is_no_answer_says_why_and_nothing_secret(
    status: int, body: bytes, headers: dict[str, str], said: str
) -> None:
    async with introspection() as endpoint:
        endpoint.status, endpoint.body, endpoint.headers = status, body, headers
        with pytest.raises(Unanswered, match=said) as unanswered:
            await asked(endpoint.url, "opaque-token-1")
        assert "opaque-token-1" not in str(unanswered.value)
        assert "s3cret" not in str(unanswered.value)
        endpoint.status, endpoint.body, endpoint.headers = 200, json.dumps(GOOD).encode(), {}
        assert await asked(endpoint.url) == GOOD


async def test_K2_an_endpoint_that_was_learned_may_not_be_elsewhere_on_this_machine() -> None:
    async with introspection() as endpoint:
        endpoint.endpoint = endpoint.endpoint.replace("127.0.0.1", "localhost")  # the file names another host
        with pytest.raises(Unanswered, match="localhost resolves to a loopback address"):
            await asked(endpoint.url, url=None)
        assert endpoint.asked == []


async def test_nobody_there_is_no_answer_and_the_next_question_is_asked_anew() -> None:
    async with introspection() as endpoint:
        url = endpoint.url
    client = IntrospectionClient(settings(url))
    with pytest.raises(Unanswered, match="ConnectError"):
        await client.ask("opaque")
    await client.close()
