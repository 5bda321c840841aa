"""The token endpoint of one issuer, asked to exchange tokens for one upstream (RFC 8693).

Rule: what the issuer refuses for the token's sake is a refusal, everything else is an outage (503).
Invariant: a new token is one that can be sent as a bearer's; no text that leaves here holds a token or a secret.
"""

from dataclasses import dataclass

from gateway.control.feeds.fetch import FetchError
from gateway.control.feeds.oauth_client import Answer, ClientSettings, OAuthClient
from gateway.kernel.strict import NotStrict, parse_object
from gateway.model.json import JSON
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.token_exchange import NewToken

_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_TYPES = (_ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")
_TOKEN68 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/")
_LONGEST = 16 * 1024  # bytes of a new token
_RETRY_AFTER = 1  # seconds
_NO = {  # what an error says of the token (RFC 6749 section 5.2, RFC 8693 section 2.2.2), and not of us
    "invalid_grant": Reason.TOKEN_REVOKED,
    "invalid_token": Reason.TOKEN_REVOKED,
    "invalid_request": Reason.EXCHANGE_REFUSED,
    "invalid_target": Reason.EXCHANGE_REFUSED,
    "invalid_scope": Reason.EXCHANGE_REFUSED,
    "access_denied": Reason.EXCHANGE_REFUSED,
}
_OURS = frozenset(
    ["invalid_client", "unauthorized_client", "unsupported_grant_type", "server_error", "temporarily_unavailable"]
)


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """What an exchange hangs on: two that are equal are one over a reload."""

    client: ClientSettings
    issuer: str  # its name in the file
    audiences: tuple[str, ...]
    resources: tuple[str, ...]
    scopes: tuple[str, ...]
    cache: float  # seconds


class ExchangeClient:
    """Asks one issuer for one upstream. Fulfils the stage's Endpoint."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self.settings = settings
        self._client = OAuthClient(settings.client, "token_endpoint")
        self._form: dict[str, str | list[str]] = {"grant_type": _GRANT, "subject_token_type": _ACCESS_TOKEN}
        self._form["requested_token_type"] = _ACCESS_TOKEN
        if settings.audiences:
            self._form["audience"] = list(settings.audiences)
        if settings.resources:
            self._form["resource"] = list(settings.resources)
        if settings.scopes:
            self._form["scope"] = " ".join(settings.scopes)

    def start(self) -> None:
        """Be ready to ask."""
        self._client.start()

    async def exchange(self, token: str) -> NewToken:
        """Raises Refused: TOKEN_REVOKED, EXCHANGE_REFUSED, EXCHANGE_UNAVAILABLE."""
        try:
            answer = await self._client.post({**self._form, "subject_token": token})
            if answer.status in (400, 401, 403):
                raise _no(answer)
            if answer.status != 200:
                raise FetchError(f"{answer.host} answered with status {answer.status}")
            return _new_token(answer)
        except (FetchError, NotStrict) as error:
            self._client.look_up_again()
            detail = f"{self.settings.issuer} exchanges no token: {error}"
            raise Refused(Reason.EXCHANGE_UNAVAILABLE, detail, retry_after=_RETRY_AFTER) from None

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()


def _no(answer: Answer) -> Refused:
    """What the issuer refuses. Raises FetchError where that says nothing of the token."""
    try:
        error = parse_object(answer.body).get("error")
    except NotStrict:
        error = None
    if isinstance(error, str) and error in _NO:
        return Refused(_NO[error], f"{answer.host} refuses to exchange the token: {error}")
    if isinstance(error, str) and error in _OURS:
        raise FetchError(f"{answer.host} refuses this gateway as a client: {error}")
    raise FetchError(f"{answer.host} answered with status {answer.status} and no error that is known")


def _new_token(answer: Answer) -> NewToken:
    """The token of a successful answer (RFC 8693 section 2.2.1). Raises FetchError, NotStrict."""
    members = parse_object(answer.body)
    token, kind, life = members.get("access_token"), members.get("token_type"), members.get("expires_in")
    if not isinstance(token, str) or len(token) > _LONGEST or not token or not _TOKEN68.issuperset(token.rstrip("=")):
        raise FetchError(f"the answer of {answer.host} holds no token that could be sent")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise FetchError(f"the token of {answer.host} is none that a bearer could send")
    if members.get("issued_token_type") not in _TYPES:
        raise FetchError(f"the token of {answer.host} is no access token")
    return NewToken(token, _seconds(life))


def _seconds(life: JSON) -> float | None:
    """`expires_in`; what is no number counts as not told."""
    if isinstance(life, bool) or not isinstance(life, int | float):
        return None
    return max(0.0, float(life))
