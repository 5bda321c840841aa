"""One endpoint of an OAuth issuer, asked as one registered client: authlib proves who asks, httpx2 carries it.

Rule: https only, no redirects, the addresses that egress allows; one client a set of files, made anew when they change.
Invariant: no text that leaves here holds a token, a secret or an assertion.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import quote_plus, urlsplit

from gateway.control.feeds.discovery import discover_endpoint
from gateway.control.feeds.feed import Watched
from gateway.control.feeds.fetch import Fetcher, FetchError, check_url, client_context
from gateway.kernel.egress import Egress
from gateway.kernel.signing_key import read_signing_key

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

AuthMethod: TypeAlias = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"]

_TOTAL = 5.0  # seconds, for discovery and the answer together
_CONNECT = 2.0
_CONNECTIONS = 32
_ASSERTION_LIFE = 60  # seconds
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client hangs on: two that are equal are one client over a reload."""

    issuer: str
    url: str | None  # None: discovery
    ca: Path | None
    client_id: str
    method: AuthMethod
    secret: str | None = field(default=None, repr=False)
    key: Path | None = None
    key_id: str | None = None
    certificate: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint answered, whatever the status."""

    host: str
    status: int
    body: bytes = field(repr=False)


class OAuthClient:
    """Asks one endpoint."""

    def __init__(self, settings: ClientSettings, member: str) -> None:
        """`member`: of the issuer's metadata, which names the endpoint where the settings do not."""
        self.settings = settings
        self._member = member
        named = [settings.issuer] if settings.url is None else [settings.issuer, settings.url]
        self._egress = Egress(frozenset(host for host in (urlsplit(url).hostname for url in named) if host))
        self._url = settings.url
        self._clients: list[AsyncOAuth2Client] = []  # the last one asks; those before were made of other files
        files = (settings.ca, settings.key, settings.certificate)
        self._watched = Watched(*(path for path in files if path is not None))

    def start(self) -> None:
        """Load what asks ahead of the first request, which would wait 0.3 s for it, and every other one with it."""
        import authlib.integrations.httpx_client  # noqa: F401

        import gateway.control.feeds.transport  # noqa: F401

    async def post(self, form: Mapping[str, str | list[str]]) -> Answer:
        """The answer to `form`, within 5 s. Raises FetchError."""
        try:
            async with asyncio.timeout(_TOTAL):  # noqa: TID251 - a network's time; 3.11's wait_for can lose a cancellation
                return await self._post(form)
        except TimeoutError:
            trouble = f"no answer within {_TOTAL:g} s"
        except (FetchError, OSError, ValueError) as error:
            trouble = str(error)
        self.look_up_again()
        raise FetchError(trouble)

    def look_up_again(self) -> None:
        """What was discovered may have changed."""
        self._url = self.settings.url

    async def close(self) -> None:
        """Close every connection."""
        clients, self._clients = self._clients, []
        for client in clients:
            await client.aclose()

    async def _post(self, form: Mapping[str, str | list[str]]) -> Answer:
        import httpx2

        settings = self.settings
        if self._url is None:
            fetcher = Fetcher(self._egress, settings.ca)
            mtls = settings.method == "tls_client_auth"
            self._url = await discover_endpoint(settings.issuer, self._member, fetcher, mtls=mtls)
        host = check_url(self._url)
        if self._watched.changed() or not self._clients:
            self._clients.append(_make_client(settings, self._egress))
        client = self._clients[-1]
        proof = client.client_auth(client.token_endpoint_auth_method)
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        try:
            answer = await client.post(self._url, data=form, headers=headers, auth=proof)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchError(f"{host}: {type(error).__name__}") from None
        return Answer(host, answer.status_code, answer.content)


def _make_client(settings: ClientSettings, egress: Egress) -> "AsyncOAuth2Client":
    """Reads the files that it needs. Raises OSError, ssl.SSLError, ValueError."""
    import httpx2
    from authlib.integrations.httpx_client import AsyncOAuth2Client  # only where an issuer is asked

    from gateway.control.feeds.transport import GuardedTransport

    context = client_context(settings.ca.read_bytes() if settings.ca is not None else None)
    if settings.method == "tls_client_auth" and settings.certificate is not None:
        context.load_cert_chain(settings.certificate, settings.key)
    return AsyncOAuth2Client(
        client_id=settings.client_id,
        client_secret=settings.secret,
        token_endpoint_auth_method=_authentication(settings),
        transport=GuardedTransport(egress, context, connections=_CONNECTIONS),
        timeout=httpx2.Timeout(_TOTAL, connect=_CONNECT),
        trust_env=False,
        follow_redirects=False,
    )


def _authentication(settings: ClientSettings) -> Any:
    """How authlib proves who we are: the name of one of its ways, or a function like them."""
    if settings.method == "client_secret_basic":
        return _basic
    if settings.method == "private_key_jwt" and settings.key is not None:
        return _assertion(settings, settings.key)
    return "client_secret_post" if settings.method == "client_secret_post" else "none"  # none: the client_id alone


def _basic(auth: Any, method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """Each half is form-encoded before they are joined (RFC 6749 section 2.3.1), which authlib leaves out."""
    pair = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret)}"
    headers["authorization"] = f"Basic {b64encode(pair.encode()).decode('ascii')}"
    return uri, headers, body


def _assertion(settings: ClientSettings, path: Path) -> Any:
    """A signed assertion for each question (RFC 7523 section 2.2); its audience is the issuer."""
    from authlib.common.urls import add_params_to_qs
    from authlib.oauth2.rfc7523 import private_key_jwt_sign

    try:
        key, algorithm = read_signing_key(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None

    def add(auth: Any, method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
        header = {"kid": settings.key_id} if settings.key_id is not None else {}
        assertion = private_key_jwt_sign(
            key, settings.client_id, settings.issuer, alg=algorithm, header=header, expires_in=_ASSERTION_LIFE
        )
        proof = [("client_assertion_type", _ASSERTION_TYPE), ("client_assertion", assertion)]
        return uri, headers, add_params_to_qs(body, [("client_id", settings.client_id), *proof])

    return add
