"""Which credential a request carries in its head (RFC 9110 section 11.6.2, RFC 6750 section 2.1).

Rule: one Authorization field, one scheme, one token68 and nothing after it; query and body are never looked at.
Invariant: what two readers could take for two credentials is refused, not picked from.
"""

from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.refused import Refused

_TOKEN68 = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/")
_SCHEME_ENDS = frozenset(' \t,;="')
_SCHEMES = {"bearer": False, "dpop": True}


@noun
class Sent:
    """A token as it was sent."""

    token: str  # not yet held to token68: `check_token68`
    dpop: bool  # under the DPoP scheme (RFC 9449 section 7.1)


def read_authorization(values: tuple[str, ...]) -> Sent | None:
    """The token in the Authorization fields; None where none was sent, or one of another scheme.

    Raises Refused: BAD_REQUEST for two fields, TOKEN_MALFORMED for a scheme of ours without a token.
    """
    if len(values) != 1:
        if not values:
            return None
        raise Refused(Reason.BAD_REQUEST, "more than one Authorization field")
    value = values[0]
    if value.startswith("Bearer "):  # as nearly everyone writes it
        token = value[7:].lstrip(" ")
        if token:
            return Sent(token, False)
    return _read_slowly(value)


def check_token68(token: str) -> None:
    """Raises Refused(TOKEN_MALFORMED) unless `token` is one token68 and nothing else (RFC 9110 section 11.2)."""
    if not token.rstrip("=") or not _TOKEN68.issuperset(token.rstrip("=")):
        raise Refused(Reason.TOKEN_MALFORMED, "what follows the scheme is not one token68")


def _read_slowly(value: str) -> Sent | None:
    end = next((i for i, character in enumerate(value) if character in _SCHEME_ENDS), len(value))
    dpop = _SCHEMES.get(value[:end].lower())
    if dpop is None:
        return None
    token = value[end:].lstrip(" ")
    if not token or value[end] != " ":
        raise Refused(Reason.TOKEN_MALFORMED, "no token follows the scheme")
    return Sent(token, dpop)
