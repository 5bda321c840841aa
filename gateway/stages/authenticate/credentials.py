"""Which credential a request carries in its head (RFC 9110 section 11.6.2, RFC 6750 section 2.1).

Rule: one Authorization field, one scheme, one token and nothing after it; query and body are never looked at.
Invariant: what two readers could take for two credentials is refused, not picked from.
"""

from hashlib import sha256

from gateway.model.credential import SentToken
from gateway.model.reason import Reason
from gateway.model.refused import Refused

_DPOP = {"Bearer": False, "bearer": False, "DPoP": True}  # the usual spellings; schemes ignore case
_SCHEMES = ("bearer", "dpop")
_SCHEME_ENDS = frozenset('\t,;="')


def sent_token(text: str, *, dpop: bool = False) -> SentToken:
    """A token, with the digest that it is remembered by."""
    return SentToken(text, dpop, sha256(text.encode()).digest())


def read_authorization(values: tuple[str, ...]) -> SentToken | None:
    """The token in the Authorization fields; None where none was sent, or one of another scheme.

    Raises Refused: BAD_REQUEST for two fields, TOKEN_MALFORMED for a scheme of ours without a token.
    """
    if len(values) != 1:
        if not values:
            return None
        raise Refused(Reason.BAD_REQUEST, "more than one Authorization field")
    scheme, _, token = values[0].partition(" ")
    dpop = _DPOP.get(scheme)
    if dpop is None:
        dpop = _other_spelling(scheme)
        if dpop is None:
            return None
    token = token.lstrip(" ")
    if not token:
        raise Refused(Reason.TOKEN_MALFORMED, "no token follows the scheme")
    return sent_token(token, dpop=dpop)


def _other_spelling(scheme: str) -> bool | None:
    """Is it the DPoP scheme? None for a scheme that is not ours. Raises Refused for ours with something stuck to it."""
    name = scheme.lower()
    for known in _SCHEMES:
        if name == known:
            return known == "dpop"
        if name.startswith(known) and name[len(known)] in _SCHEME_ENDS:
            raise Refused(Reason.TOKEN_MALFORMED, "the scheme is not followed by a space")
    return None
