"""Which credential a request carries in its head (RFC 9110 section 11.6.2, RFC 6750 section 2.1).

Rule: one Authorization field, one scheme, one token and nothing after it; query and body are never looked at.
Invariant: what two readers could take for two credentials is refused, not picked from.
"""

from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.refused import Refused

_DPOP = {"Bearer": False, "bearer": False, "DPoP": True}  # the usual spellings; schemes ignore case
_SCHEMES = ("bearer", "dpop")
_SCHEME_ENDS = frozenset('\t,;="')


@noun
class Sent:
    """A token as it was sent: whatever its verifier does not take, a comma or a second token too, is malformed."""

    token: str
    dpop: bool  # under the DPoP scheme (RFC 9449 section 7.1)


def read_authorization(values: tuple[str, ...]) -> Sent | None:
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
    return Sent(token, dpop)


def _other_spelling(scheme: str) -> bool | None:
    """Is it the DPoP scheme? None for a scheme that is not ours. Raises Refused for ours with something stuck to it."""
    name = scheme.lower()
    for known in _SCHEMES:
        if name == known:
            return known == "dpop"
        if name.startswith(known) and name[len(known)] in _SCHEME_ENDS:
            raise Refused(Reason.TOKEN_MALFORMED, "the scheme is not followed by a space")
    return None
