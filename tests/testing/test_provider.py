"""The provider over real sockets, with authlib's client as its peer."""

from collections.abc import AsyncGenerator
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.testing.ca import Authority
from gateway.testing.issuer import User
from gateway.testing.provider import Client, Provider, live_provider
from gateway.testing.serve import in_thread
from gateway.testing.tls import client_context, server_context
from tests.plain import NO_TLS

CALLBACK = "http://app.example/callback"
APP = Client("app", None, (CALLBACK,), frozenset({"read", "write"}), "http://app.example")
SERVICE = Client("service", "s3cret", (), frozenset({"read"}))
ALICE = User("alice", frozenset({"read"}), {"team": "blue"})


@pytest.fixture
async def provider() -> AsyncGenerator[Provider]:
    async with live_provider(clients=[APP, SERVICE], users=[ALICE]) as made:
        yield made


def app_client(**kwargs: object) -> AsyncOAuth2Client:
    return AsyncOAuth2Client(
        "app",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint_auth_method="none",
        verify=NO_TLS,
        **kwargs,
    )


async def log_in(url: str, user: str = "alice") -> httpx2.Response:
    async with httpx2.AsyncClient(verify=NO_TLS, trust_env=False) as browser:
        page = await browser.get(url)
        assert user in page.text
        return await browser.post(url, data={"user": user})


async def test_discovery_is_valid_metadata_and_names_itself(provider: Provider) -> None:
    async with httpx2.AsyncClient(verify=NO_TLS, trust_env=False) as client:
        document = (await client.get(f"{provider.issuer.url}/.well-known/openid-configuration")).json()
    assert document["issuer"] == provider.issuer.url
    assert document["jwks_uri"].startswith(provider.issuer.url)
    metadata = OpenIDProviderMetadata(document)
    for field in ("response_types_supported", "subject_types_supported", "grant_types_supported"):
        getattr(metadata, f"validate_{field}")()


async def test_authlib_logs_in_with_pkce(provider: Provider) -> None:
    verifier = "v" * 48
    async with app_client(scope="openid read write") as client:
        url, state = client.create_authorization_url(
            f"{provider.issuer.url}/authorize", code_verifier=verifier, nonce="n-1"
        )
        back = (await log_in(url)).headers["location"]
        assert back.startswith(f"{CALLBACK}?")
        token = await client.fetch_token(
            f"{provider.issuer.url}/token", authorization_response=back, code_verifier=verifier, state=state
        )
    keys = KeySet.import_key_set(provider.issuer.jwks())
    access = jwt.decode(token["access_token"], keys, ["ES256"])
    assert access.header["typ"] == "at+jwt"
    assert (access.claims["sub"], access.claims["scope"], access.claims["team"]) == ("alice", "openid read", "blue")
    identity = jwt.decode(token["id_token"], keys, ["ES256"]).claims
    assert (identity["aud"], identity["nonce"]) == ("app", "n-1")


async def test_authlib_gets_a_token_for_a_service_by_either_method(provider: Provider) -> None:
    for method in ("client_secret_basic", "client_secret_post"):
        async with AsyncOAuth2Client("service", SERVICE.secret, token_endpoint_auth_method=method) as client:
            token = await client.fetch_token(f"{provider.issuer.url}/token", grant_type="client_credentials")
        claims = jwt.decode(token["access_token"], KeySet.import_key_set(provider.issuer.jwks()), ["ES256"]).claims
        assert (claims["sub"], claims["client_id"], claims["scope"]) == ("service", "service", "read")


async def test_a_wrong_secret_gets_nothing(provider: Provider) -> None:
    async with AsyncOAuth2Client("service", "guess") as client:
        with pytest.raises(OAuthError, match="invalid_client"):
            await client.fetch_token(f"{provider.issuer.url}/token", grant_type="client_credentials")
    async with app_client() as client:
        with pytest.raises(OAuthError, match="unauthorized_client"):
            await client.fetch_token(f"{provider.issuer.url}/token", grant_type="client_credentials")


async def test_a_code_is_good_once_for_its_verifier_and_its_redirect(provider: Provider) -> None:
    verifier = "v" * 48
    for spoiled in ({"code_verifier": "w" * 48}, {"redirect_uri": "http://app.example/other"}, {}):
        async with app_client() as client:
            url, _ = client.create_authorization_url(f"{provider.issuer.url}/authorize", code_verifier=verifier)
            code = parse_qs(urlsplit((await log_in(url)).headers["location"]).query)["code"][0]
            form = {"grant_type": "authorization_code", "client_id": "app", "code": code}
            form |= {"redirect_uri": CALLBACK, "code_verifier": verifier, **spoiled}
            first = await httpx2.AsyncClient(verify=NO_TLS).post(f"{provider.issuer.url}/token", data=form)
            second = await httpx2.AsyncClient(verify=NO_TLS).post(f"{provider.issuer.url}/token", data=form)
        assert first.status_code == (400 if spoiled else 200)
        assert second.json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"redirect_uri": CALLBACK + "/"}, 400, None),
        ({"client_id": "nobody"}, 400, None),
        ({"code_challenge_method": "plain"}, 303, "invalid_request"),
        ({"code_challenge": ""}, 303, "invalid_request"),
        ({"response_type": "token"}, 303, "unsupported_response_type"),
        ({"user": "mallory"}, 303, "access_denied"),
    ],
)
async def test_a_bad_authorization_request_is_refused(
    provider: Provider, change: dict[str, str], status: int, error: str | None
) -> None:
    asked = {"client_id": "app", "redirect_uri": CALLBACK, "response_type": "code", "state": "s"}
    asked |= {"code_challenge": "c", "code_challenge_method": "S256"} | change
    user = asked.pop("user", "alice")
    async with httpx2.AsyncClient(verify=NO_TLS) as client:
        got = await client.post(f"{provider.issuer.url}/authorize", params=asked, data={"user": user})
    assert got.status_code == status
    if error:
        answer = parse_qs(urlsplit(got.headers["location"]).query)
        assert answer == {"iss": [provider.issuer.url], "state": ["s"], "error": [error]}


async def test_the_applications_origin_may_read_the_token_endpoint_and_no_other(provider: Provider) -> None:
    async with httpx2.AsyncClient(verify=NO_TLS) as client:
        for origin, allowed in (("http://app.example", "http://app.example"), ("http://evil.example", None)):
            got = await client.post(f"{provider.issuer.url}/token", headers={"origin": origin})
            assert got.headers.get("access-control-allow-origin") == allowed


async def test_an_outage_answers_503_and_is_counted(provider: Provider) -> None:
    provider.outage = True
    async with httpx2.AsyncClient(verify=NO_TLS) as client:
        assert (await client.get(f"{provider.issuer.url}/jwks")).status_code == 503
        provider.outage = False
        assert (await client.get(f"{provider.issuer.url}/jwks")).json() == provider.issuer.jwks()
    assert provider.hits["/jwks"] == 2


def test_in_a_thread_over_tls_it_serves_callers_without_a_loop() -> None:
    ca = Authority("issuers")
    tls = server_context(ca.issue(ips=["127.0.0.1"]))
    with in_thread(lambda: live_provider(tls=tls)) as provider:
        got = httpx2.get(f"{provider.issuer.url}/jwks", verify=client_context([ca]), trust_env=False)
        assert got.json() == provider.issuer.jwks()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{provider.issuer.url}/jwks", verify=client_context([ca]), trust_env=False)
