"""Logout tokens (OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6).

Rule: a sid ends that session, and what its user holds that names no session; a sub alone ends all that the user holds.
Invariant: what could be an ID token or an access token is no logout token, and an ended session takes back nothing that
was issued later.
"""

from gateway.stages.authenticate.claims import instant
from gateway.stages.authenticate.events.statement import Ended, malformed, read_statement, text
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.revoked import Kind, Revocation, mark

_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_TYPES = ("logout+jwt", "jwt", None)  # the first is recommended only, and providers of great age send the others
_AGE = 300.0  # seconds


async def read_logout(issuer: TrustedIssuer, client_id: str, token: str, now: float, *, keep: float) -> Ended:
    """What a logout token ends, to be remembered for `keep` seconds. Raises Refused: 401, or 503 KEYS_UNAVAILABLE."""
    said = await read_statement(issuer, token, now, types=_TYPES, audience=client_id, age=_AGE)
    claims = said.claims
    if _EVENT not in said.events:
        raise malformed("events does not name a logout")
    if "nonce" in claims:
        raise malformed("nonce marks an ID token")
    subject, session = text(claims, "sub"), text(claims, "sid")
    if subject is None and session is None:
        raise malformed("it names neither a subject nor a session")
    url, marks = issuer.issuer, []
    if session is not None:
        marks.append(mark(Kind.SESSION, url, session))
        if subject is not None:
            marks.append(mark(Kind.SESSIONLESS, url, subject))
    elif subject is not None:
        marks.append(mark(Kind.SUBJECT, url, subject))
    life = _AGE + 2 * issuer.clock_skew
    exp = instant(claims, "exp")
    if exp is not None:
        life = min(life, exp - now + 2 * issuer.clock_skew)
    revocations = tuple(Revocation(each, said.issued, now + keep) for each in marks)
    return Ended(revocations, said.name, life, ("logout",), subject)
