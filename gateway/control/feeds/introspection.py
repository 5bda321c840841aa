"""The introspection endpoint of one issuer (RFC 7662).

Rule: whoever does not answer, or refuses this gateway as a client, gave no answer about the token.
Invariant: no text that leaves here holds a token or a secret.
"""

from gateway.control.feeds.fetch import FetchError
from gateway.control.feeds.oauth_client import ClientSettings, OAuthClient
from gateway.kernel.strict import NotStrict, parse_object
from gateway.model.json import JSON
from gateway.stages.authenticate.authenticators.introspection import Unanswered

_HINT = "access_token"


class IntrospectionClient:
    """Asks one issuer. Fulfils the stage's Endpoint."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._client = OAuthClient(settings, "introspection_endpoint")

    def start(self) -> None:
        """Be ready to ask."""
        self._client.start()

    async def ask(self, token: str) -> dict[str, JSON]:
        """The answer about `token`. Raises Unanswered."""
        try:
            answer = await self._client.post({"token": token, "token_type_hint": _HINT})
        except FetchError as error:
            raise Unanswered(str(error)) from None
        trouble = f"{answer.host} answered with status {answer.status}"
        if answer.status == 200:
            try:
                return parse_object(answer.body)
            except NotStrict as error:
                trouble = str(error)
        elif answer.status in (400, 401, 403):
            trouble = f"{answer.host} refuses this gateway as a client (status {answer.status})"
        self._client.look_up_again()
        raise Unanswered(trouble)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()
