"""A small OpenID provider over an Issuer: discovery, keys, authorization code with PKCE, client credentials, exchange.

Rule: OAuth 2.1's shape: S256 only, redirect URIs compared whole, codes good once and for a minute.
Invariant: nothing is sent to a redirect URI that the client did not register.
"""

import contextlib
import hashlib
import hmac
import html
import secrets
import ssl
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.testing.exchange import GRANT as TOKEN_EXCHANGE
from gateway.testing.exchange import exchanged
from gateway.testing.issuer import Issuer, User, base64url
from gateway.testing.serve import serving

_CODE_LIFETIME = 60  # seconds
_NO_STORE = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client: public when it has no secret."""

    id: str
    secret: str | None = None
    redirect_uris: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    origin: str | None = None  # a browser application's, for CORS
    exchanges: frozenset[str] = frozenset()  # audiences for which it may exchange tokens (RFC 8693)


@dataclass(frozen=True, slots=True)
class _Grant:
    """What an authorization code stands for."""

    client: Client
    user: User
    redirect_uri: str
    challenge: str
    nonce: str | None
    scope: str
    expires: float


class _OAuthError(Exception):
    """An OAuth error: its code, and the status of the answer (RFC 6749 section 5.2)."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class Provider:
    """The HTTP face of an Issuer. `outage` makes every endpoint answer 503; `hits` counts requests by path."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        clients: Sequence[Client] = (),
        users: Sequence[User] = (),
        token_lifetime: float = 300,
    ) -> None:
        self.issuer = issuer
        self.clients = {client.id: client for client in clients}
        self.users = {user.subject: user for user in users}
        self.token_lifetime = token_lifetime
        self.outage = False
        self.hits: Counter[str] = Counter()
        self._codes: dict[str, _Grant] = {}
        origins = [client.origin for client in clients if client.origin]
        routes = [
            Route("/.well-known/openid-configuration", self._discovery),
            Route("/jwks", self._jwks),
            Route("/authorize", self._authorize, methods=["GET", "POST"]),
            Route("/token", self._token, methods=["POST"]),
            Route("/health", self._health),
        ]
        cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"])
        self.app = Starlette(routes=routes, middleware=[cors])

    def metadata(self) -> dict[str, Any]:
        """The discovery document (OpenID Connect Discovery section 3, RFC 8414)."""
        url = self.issuer.url
        return {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "client_credentials", TOKEN_EXCHANGE],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({key.algorithm for key in self.issuer.keys}),
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _visit(self, request: Request) -> None:
        self.hits[request.url.path] += 1
        if self.outage:
            raise _OAuthError("temporarily_unavailable", 503)

    async def _discovery(self, request: Request) -> Response:
        return self._document(request, self.metadata)

    async def _jwks(self, request: Request) -> Response:
        return self._document(request, self.issuer.jwks)

    async def _health(self, request: Request) -> Response:
        return self._document(request, lambda: {"ok": True})

    def _document(self, request: Request, make: Any) -> Response:
        try:
            self._visit(request)
        except _OAuthError as failed:
            return _error(failed)
        return JSONResponse(make())

    async def _authorize(self, request: Request) -> Response:
        """GET asks who it is; POST is the answer (RFC 6749 section 4.1.1, RFC 7636)."""
        asked = dict(request.query_params)
        try:
            self._visit(request)
            client, redirect_uri = self._redirection(asked)
        except _OAuthError as failed:
            return HTMLResponse(f"<h1>{html.escape(failed.code)}</h1>", failed.status)
        answer = {"iss": self.issuer.url, **({"state": asked["state"]} if "state" in asked else {})}
        try:
            _check_request(asked)
            if request.method == "GET":
                return HTMLResponse(_login_page(client, self.users.values()), headers=_PAGE_HEADERS)
            answer["code"] = self._code(client, redirect_uri, asked, (await _form(request)).get("user", ""))
        except _OAuthError as failed:
            answer["error"] = failed.code
        return RedirectResponse(f"{redirect_uri}?{urlencode(answer)}", 303, headers=_NO_STORE)

    def _redirection(self, asked: dict[str, str]) -> tuple[Client, str]:
        """The client and where to send it back to. Raises _OAuthError: then there is nowhere to redirect to."""
        client = self.clients.get(asked.get("client_id", ""))
        if client is None:
            raise _OAuthError("invalid_client")
        redirect_uri = asked.get("redirect_uri", "")
        if redirect_uri not in client.redirect_uris:
            raise _OAuthError("invalid_redirect_uri")
        return client, redirect_uri

    def _code(self, client: Client, redirect_uri: str, asked: dict[str, str], subject: str) -> str:
        user = self.users.get(subject)
        if user is None:
            raise _OAuthError("access_denied")
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Grant(
            client,
            user,
            redirect_uri,
            asked["code_challenge"],
            asked.get("nonce"),
            _granted(asked.get("scope", ""), client.scopes & user.scopes | {"openid"}),
            self.issuer.clock() + _CODE_LIFETIME,
        )
        return code

    async def _token(self, request: Request) -> Response:
        """The token endpoint (RFC 6749 sections 4.1.3 and 4.4)."""
        form = await _form(request)
        try:
            self._visit(request)
            client = self._client(request, form)
            match form.get("grant_type"):
                case "authorization_code":
                    answer = self._redeem(client, form)
                case "client_credentials":
                    answer = self._own_token(client, form)
                case grant if grant == TOKEN_EXCHANGE and client.secret is not None:
                    answer = self._exchanged(client, form)
                case _:
                    raise _OAuthError("unsupported_grant_type")
        except _OAuthError as failed:
            return _error(failed)
        return JSONResponse(answer, headers=_NO_STORE)

    def _client(self, request: Request, form: dict[str, str]) -> Client:
        """Authenticate the client: basic, post, or none for a public one. Raises _OAuthError(invalid_client)."""
        sent_id, sent_secret = form.get("client_id", ""), form.get("client_secret")
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                pair = b64decode(encoded, validate=True).decode().partition(":")
                sent_id, sent_secret = unquote_plus(pair[0]), unquote_plus(pair[2])
        client = self.clients.get(sent_id)
        if client is None or not hmac.compare_digest((client.secret or "").encode(), (sent_secret or "").encode()):
            raise _OAuthError("invalid_client", 401)
        return client

    def _redeem(self, client: Client, form: dict[str, str]) -> dict[str, Any]:
        grant = self._codes.pop(form.get("code", ""), None)  # good once, also when what follows fails
        proof = base64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            grant is None
            or grant.client is not client
            or grant.expires < self.issuer.clock()
            or grant.redirect_uri != form.get("redirect_uri")
            or not hmac.compare_digest(grant.challenge, proof)
        ):
            raise _OAuthError("invalid_grant")
        answer = self._answer(grant.user.subject, client, grant.scope, grant.user.claims)
        if "openid" in grant.scope.split():
            answer["id_token"] = self.issuer.token(
                grant.user.subject, headers={"typ": "JWT"}, aud=client.id, nonce=grant.nonce, jti=None
            )
        return answer

    def _own_token(self, client: Client, form: dict[str, str]) -> dict[str, Any]:
        if client.secret is None:
            raise _OAuthError("unauthorized_client")
        return self._answer(client.id, client, _granted(form.get("scope", ""), client.scopes), {})

    def _exchanged(self, client: Client, form: dict[str, str]) -> dict[str, Any]:
        try:
            return exchanged(self.issuer, client.id, client.exchanges, form, self.token_lifetime)
        except ValueError as error:
            raise _OAuthError(str(error)) from None

    def _answer(self, subject: str, client: Client, scope: str, claims: Any) -> dict[str, Any]:
        token = self.issuer.token(
            subject, lifetime=self.token_lifetime, client_id=client.id, scope=scope or None, **claims
        )
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self.token_lifetime), "scope": scope}


@contextlib.asynccontextmanager
async def live_provider(
    *,
    clients: Sequence[Client] = (),
    users: Sequence[User] = (),
    algorithm: str = "ES256",
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    url: str | None = None,
    token_lifetime: float = 300,
) -> AsyncGenerator[Provider]:
    """A provider on the running loop; `provider.issuer.url` is its URL (`url` where others reach it by another)."""
    issuer = Issuer("", algorithm=algorithm)
    provider = Provider(issuer, clients=clients, users=users, token_lifetime=token_lifetime)
    async with serving(lambda _: provider.app, tls=tls, host=host, port=port) as bound:
        issuer.url = url or bound
        yield provider


async def _form(request: Request) -> dict[str, str]:
    """The urlencoded body, read without the library that Starlette wants; a name's first value counts."""
    return dict(reversed(parse_qsl((await request.body()).decode("utf-8", "replace"))))


def _check_request(asked: dict[str, str]) -> None:
    if asked.get("response_type") != "code":
        raise _OAuthError("unsupported_response_type")
    if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
        raise _OAuthError("invalid_request")


def _granted(asked: str, allowed: frozenset[str]) -> str:
    """Of the scopes that were asked for those that are allowed; all of them when none was asked for."""
    wanted = asked.split()
    return " ".join([scope for scope in wanted if scope in allowed] if wanted else sorted(allowed))


def _error(failed: _OAuthError) -> Response:
    headers = dict(_NO_STORE)
    if failed.status == 401:
        headers["www-authenticate"] = 'Basic realm="provider"'
    return JSONResponse({"error": failed.code}, failed.status, headers=headers)


_PAGE_HEADERS = {
    **_NO_STORE,
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


def _login_page(client: Client, users: Any) -> str:
    """Whoever presses a button is that user: a provider to try things with asks for no password."""
    buttons = "".join(
        f'<button name="user" value="{html.escape(user.subject)}">{html.escape(user.subject)}'
        f"<small>{html.escape(' '.join(sorted(user.scopes)) or 'no scopes')}</small></button>"
        for user in users
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Log in</title>'
        '<meta name="viewport" content="width=device-width"><style>'
        "body{font:16px system-ui;max-width:26rem;margin:4rem auto;padding:0 1rem;color:#1c2733}"
        "button{display:block;width:100%;margin:.5rem 0;padding:.8rem;font:inherit;text-align:left;cursor:pointer;"
        "border:1px solid #b8c4d0;border-radius:.5rem;background:#f6f8fa}"
        "small{display:block;color:#5a6b7b}"
        f'</style><h1>Log in</h1><p><b>{html.escape(client.id)}</b> asks who you are.</p><form method="post">'
        f"{buttons}</form></html>"
    )
