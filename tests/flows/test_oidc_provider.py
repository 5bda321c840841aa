"""Tokens of the certified npm oidc-provider, over a real gateway to a real backend.

Needs node and npm. Without them it is skipped with a message, unless GATEWAY_REQUIRE_NODE=1 makes that a failure.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from gateway.testing.dpop import Holder
from gateway.testing.process import running
from gateway.testing.serve import in_thread
from gateway.testing.serve import serving as serving_app
from gateway.testing.tls import server_context
from gateway.testing.upstream import Upstream, echo
from tests.absent import absent
from tests.flows.gateway_process import Served, prepared, serving
from tests.plain import NO_TLS

HERE = Path(__file__).with_name("oidc_provider")
CALLBACK = "http://127.0.0.1/callback"
BACKEND = "spiffe://cluster.local/ns/default/sa/inventory"
REST = """\
issuers:
  certified:
    issuer: "{issuer}"
    audiences: [api-service]
    introspection: {{client_id: service, client_secret: secret, cache: 0s}}
    backchannel_logout: {{client_id: app}}
upstreams:
  inventory: {{endpoints: ["{backend}"], tls: {{server_identity: "{identity}"}}}}
  stock:
    endpoints: ["{backend}"]
    tls: {{server_identity: "{identity}"}}
    token_exchange: {{client_id: service, client_secret: secret, audiences: [stock-api]}}
  closed:
    endpoints: ["{backend}"]
    tls: {{server_identity: "{identity}"}}
    token_exchange: {{client_id: service, client_secret: secret, audiences: [nobody]}}
routes:
  - {{name: stock, match: {{paths: ["/stock/*"]}}, upstream: stock, allow: [{{from: {{issuers: [certified]}}}}]}}
  - {{name: closed, match: {{paths: ["/closed/*"]}}, upstream: closed, allow: [{{from: {{issuers: [certified]}}}}]}}
  - name: inventory
    match: {{paths: ["/inventory/*"]}}
    upstream: inventory
    requires: {{scopes: ["inventory:read"]}}
    allow:
      - {{from: {{issuers: [certified]}}, to: {{methods: [GET]}}}}
    forward: {{headers: {{x-user: claims.sub}}}}
"""


@pytest.fixture(scope="module")
def modules() -> Path:
    """The provider's node modules, fetched once into the virtual environment by its lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        absent("NODE", "node and npm are not installed")
    # Modules are looked up beside the script: so both lie in one folder, named by what it holds.
    content = b"".join((HERE / name).read_bytes() for name in ("package-lock.json", "server.mjs"))
    cache = Path(sys.prefix) / "node" / hashlib.sha256(content).hexdigest()[:16]
    if not cache.exists():
        cache.parent.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=cache.parent))  # whole or not at all, also for two who fetch at once
        for name in ("package.json", "package-lock.json", "server.mjs"):
            shutil.copy(HERE / name, made)
        fetch = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        fetched = subprocess.run(fetch, cwd=made, capture_output=True, text=True)
        with contextlib.suppress(OSError):  # the other was quicker
            if not fetched.returncode:
                made.rename(cache)
        shutil.rmtree(made, ignore_errors=True)
        if fetched.returncode:
            last = (fetched.stderr.strip().splitlines() or ["no message"])[-1]
            absent("NODE", f"npm cannot fetch oidc-provider ({last})")
    return cache


class Relay:
    """Where the provider is told to send logouts, for it starts before the gateway has a port."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.gateway: Served | None = None
        self.status = 0  # what the gateway answered last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        assert self.gateway is not None
        context = ssl.create_default_context(cafile=self.gateway.folder / "certs" / "cluster-ca.pem")
        async with httpx2.AsyncClient(verify=context, trust_env=False) as client:
            headers = {"content-type": dict(scope["headers"])[b"content-type"].decode()}
            path = "/.well-known/gateway/logout/certified"
            self.status = (await client.post(self.gateway.url + path, content=body, headers=headers)).status_code
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def relaying() -> AsyncGenerator[Relay]:
    made: list[Relay] = []

    def make(url: str) -> Relay:
        made.append(Relay(url))
        return made[0]

    async with serving_app(make):
        yield made[0]


@pytest.fixture(scope="module")
def relay() -> Generator[Relay]:
    with in_thread(relaying) as held:
        yield held


@pytest.fixture(scope="module")
def issuer(modules: Path, relay: Relay, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("provider")
    env = {**os.environ, "LOGOUT_URI": relay.url}
    with running(["node", "server.mjs"], folder / "log", cwd=modules, env=env) as process:

        def url() -> str:
            return next((line for line in process.output.splitlines() if line.startswith("http://")), "")

        process.wait_for(url, what="the provider to listen")
        yield url()


@pytest.fixture(scope="module")
def served(issuer: str, relay: Relay, tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    folder = tmp_path_factory.mktemp("gateway")
    certs = prepared(folder)
    ca = certs.authority("cluster-ca")
    tls = server_context(ca.issue(uri=BACKEND), [ca])
    with in_thread(lambda: Upstream(echo("inventory"), tls=tls)) as backend:
        rest = REST.format(issuer=issuer, backend=backend.url, identity=BACKEND)
        with serving(folder, rest, issuer="certified") as gateway:
            relay.gateway = gateway
            yield gateway


def ask(
    served: Served, token: str, *, proof: str | None = None, scheme: str = "", path: str = "/inventory/42"
) -> httpx2.Response:
    context = ssl.create_default_context(cafile=served.folder / "certs" / "cluster-ca.pem")
    headers = {"authorization": f"{scheme or ('Bearer' if proof is None else 'DPoP')} {token}"}
    if proof is not None:
        headers["dpop"] = proof
    return httpx2.get(served.url + path, headers=headers, verify=context, trust_env=False)


def service_token(issuer: str, headers: dict[str, str] | None = None, **form: str) -> dict[str, str]:
    form = {"grant_type": "client_credentials", **form}
    got = httpx2.post(f"{issuer}/token", data=form, headers=headers, auth=("service", "secret"), trust_env=False)
    assert got.status_code == 200, got.text
    answer: dict[str, str] = got.json()
    return answer


def logged_in(issuer: str, user: str, *, out: bool = False) -> dict[str, str]:
    """The whole browser flow with PKCE, over the provider's own login and consent pages; `out`: and out again."""
    verifier = secrets.token_urlsafe(48)
    query = {
        "client_id": "app",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid inventory:read",
        "state": "here",
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    at = f"{issuer}/auth?{urlencode(query)}"
    with httpx2.Client(verify=NO_TLS, trust_env=False) as browser:
        for _ in range(10):
            page = browser.get(at)
            if page.status_code == 200:  # a page that asks something: who it is, then whether that is all right
                prompt = "login" if 'name="login"' in page.text else "consent"
                page = browser.post(at, data={"prompt": prompt, "login": user, "password": "any"})
            at = urljoin(at, page.headers["location"])
            if at.startswith(CALLBACK):
                break
        answer = parse_qs(urlsplit(at).query)
        assert answer["state"] == ["here"]
        form = {"grant_type": "authorization_code", "client_id": "app", "redirect_uri": CALLBACK}
        got = browser.post(f"{issuer}/token", data={**form, "code": answer["code"][0], "code_verifier": verifier})
        assert got.status_code == 200, got.text
        tokens: dict[str, str] = got.json()
        if out:
            page = browser.get(f"{issuer}/session/end", params={"id_token_hint": tokens["id_token"]})
            xsrf = page.text.partition('name="xsrf" value="')[2].partition('"')[0]
            gone = browser.post(f"{issuer}/session/end/confirm", data={"xsrf": xsrf, "logout": "yes"})
            assert gone.status_code in (200, 303), gone.text
    return tokens


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_service_with_client_credentials_gets_through(issuer: str, served: Served, algorithm: str) -> None:
    token = service_token(issuer, scope="inventory:read", resource=f"urn:{algorithm.lower()}")["access_token"]
    header = token.partition(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["alg"] == algorithm
    got = ask(served, token)
    assert got.status_code == 200, got.text
    assert got.json()["headers"]["x-user"] == "service"


def test_without_the_scope_it_is_told_which_is_missing(issuer: str, served: Served) -> None:
    got = ask(served, service_token(issuer)["access_token"])
    assert (got.status_code, got.json()["reason"]) == (403, "scope_missing")
    assert 'error="insufficient_scope"' in got.headers["www-authenticate"]


def test_a_user_who_logged_in_with_pkce_gets_through_and_the_id_token_does_not(issuer: str, served: Served) -> None:
    tokens = logged_in(issuer, "alice")
    got = ask(served, tokens["access_token"])
    assert got.status_code == 200, got.text
    assert got.json()["headers"]["x-user"] == "alice"
    refused = ask(served, tokens["id_token"])
    assert refused.status_code == 401
    assert refused.json()["reason"] in {"token_type", "token_audience"}


def test_a_user_who_logged_out_at_the_provider_is_out_here(issuer: str, relay: Relay, served: Served) -> None:
    other = logged_in(issuer, "bob")["access_token"]
    token = logged_in(issuer, "alice", out=True)["access_token"]
    assert relay.status == 200
    refused = ask(served, token)
    assert (refused.status_code, refused.json()["reason"]) == (401, "token_revoked")
    assert ask(served, other).status_code == 200


def test_a_token_is_exchanged_for_one_that_is_meant_for_the_backend(issuer: str, served: Served) -> None:
    token = service_token(issuer, scope="inventory:read")["access_token"]
    got = ask(served, token, path="/stock/1")
    assert got.status_code == 200, got.text
    scheme, _, new = got.json()["headers"]["authorization"].partition(" ")
    payload = new.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (scheme, claims["iss"], claims["sub"], claims["aud"]) == ("Bearer", issuer, "service", "stock-api")
    refused = ask(served, token, path="/closed/1")
    assert (refused.status_code, refused.json()["reason"]) == (403, "no_rule_allows")


def bound_token(issuer: str, holder: Holder) -> str:
    bound = service_token(issuer, {"dpop": holder.proof("POST", f"{issuer}/token")}, scope="inventory:read")
    assert bound["token_type"] == "DPoP"
    return bound["access_token"]


def test_a_token_bound_to_a_key_is_no_bearer_token(issuer: str, served: Served) -> None:
    got = ask(served, bound_token(issuer, Holder()))
    assert (got.status_code, got.json()["reason"]) == (401, "binding_missing")
    assert got.headers["www-authenticate"].startswith('DPoP realm="gateway", error="invalid_token", algs="ES256 ')


def test_J35_who_holds_the_key_gets_through_once_with_each_proof(issuer: str, served: Served) -> None:
    holder = Holder()
    token, url = bound_token(issuer, holder), f"{served.url}/inventory/42"
    proof = holder.proof("GET", url, token)
    got = ask(served, token, proof=proof)
    assert got.status_code == 200, got.text
    assert got.json()["headers"]["x-user"] == "service"
    assert not {"authorization", "dpop"} & got.json()["headers"].keys()
    for text, reason in (
        (proof, "dpop_invalid"),
        (holder.proof("GET", f"{served.url}/inventory/43", token), "dpop_invalid"),
        (Holder().proof("GET", url, token), "binding_mismatch"),
        (None, "binding_missing"),
    ):
        refused = ask(served, token, proof=text, scheme="DPoP")
        assert (refused.status_code, refused.json()["reason"]) == (401, reason)
        assert refused.headers["www-authenticate"].startswith("DPoP ")
    assert ask(served, token, proof=holder.proof("GET", url, token)).status_code == 200


def test_an_opaque_token_is_asked_about_until_it_is_revoked(issuer: str, served: Served) -> None:
    token = service_token(issuer, scope="inventory:read", resource="urn:opaque")["access_token"]
    assert "." not in token
    got = ask(served, token)
    assert got.status_code == 200, got.text
    form = {"token": token}
    assert httpx2.post(f"{issuer}/token/revocation", data=form, auth=("service", "secret"), trust_env=False).is_success
    refused = ask(served, token)
    assert (refused.status_code, refused.json()["reason"]) == (401, "token_revoked")
    assert refused.headers["www-authenticate"] == 'Bearer realm="gateway", error="invalid_token"'


def test_J35_an_opaque_token_is_held_to_its_key_too(issuer: str, served: Served) -> None:
    holder = Holder()
    proof = holder.proof("POST", f"{issuer}/token")
    bound = service_token(issuer, {"dpop": proof}, scope="inventory:read", resource="urn:opaque")["access_token"]
    url = f"{served.url}/inventory/42"
    assert ask(served, bound, proof=holder.proof("GET", url, bound)).status_code == 200
    assert ask(served, bound).json()["reason"] == "binding_missing"
    assert ask(served, bound, proof=Holder().proof("GET", url, bound)).json()["reason"] == "binding_mismatch"
