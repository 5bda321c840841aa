"""A security event token (RFC 8417): who says what to whom, before it is asked what that means.

Rule: read like an access token: one spelling, the issuer's own keys and algorithms, and a type that is not an access
token's.
Invariant: what can be refused without a signature is refused before one, and no value of it stands in a refusal.
"""

from collections.abc import Collection
from hashlib import blake2b

from gateway.model.json import JSON, Claims
from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.claims import audiences_of, instant
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.jose import take_apart
from gateway.stages.authenticate.revoked import Revocation
from gateway.stages.authenticate.signatures import check_algorithm, check_signature

_DIGEST = 16  # bytes of an event's name


@noun
class Statement:
    """Signed by its issuer, for this audience, now."""

    claims: Claims
    events: Claims  # by the URI of their kind
    issued: float  # seconds since the epoch
    name: str  # of this one among all: 32 hex digits


@noun
class Ended:
    """What an event ends."""

    revocations: tuple[Revocation, ...]
    name: str  # of the event among all: it counts once
    life: float  # seconds for which it could be sent again
    kinds: tuple[str, ...]  # of events, in words of ours, for the record
    subject: str | None = None  # whom it is about, for the record


async def read_statement(
    issuer: TrustedIssuer, token: str, now: float, *, types: Collection[str | None], audience: str, age: float
) -> Statement:
    """The statement that `token` is; at most `age` seconds old.

    Raises Refused: 401 TOKEN_*, or 503 KEYS_UNAVAILABLE.
    """
    unverified = take_apart(token)
    claims = unverified.claims
    check_algorithm(issuer, unverified)
    if unverified.typ not in types:
        raise Refused(Reason.TOKEN_TYPE, "typ is not that of what is sent here")
    if claims.get("iss") != issuer.issuer:
        raise Refused(Reason.TOKEN_ISSUER, "iss is not the issuer that sends here")
    if audience not in audiences_of(claims):
        raise Refused(Reason.TOKEN_AUDIENCE, "aud does not name the gateway")
    issued = instant(claims, "iat")
    if issued is None:
        raise malformed("iat is missing")
    if issued > now + issuer.clock_skew:
        raise Refused(Reason.TOKEN_NOT_YET_VALID, "iat lies in the future")
    exp = instant(claims, "exp")
    if issued < now - issuer.clock_skew - age or (exp is not None and now >= exp + issuer.clock_skew):
        raise Refused(Reason.TOKEN_EXPIRED, "it is too old")
    jti, events = claims.get("jti"), claims.get("events")
    if not isinstance(jti, str) or not jti:
        raise malformed("jti is missing or no string")
    if not isinstance(events, dict) or not events:
        raise malformed("events is missing or no object")
    if not all(isinstance(event, dict) for event in events.values()):
        raise malformed("an event is no object")
    await check_signature(issuer, unverified)
    name = blake2b(f"{issuer.issuer}\n{jti}".encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()
    return Statement(claims, events, issued, name)


def text(claims: Claims, name: str) -> str | None:
    """A member that is a string and not empty, or absent. Raises Refused(TOKEN_MALFORMED)."""
    value: JSON = claims.get(name)
    if name in claims and not (isinstance(value, str) and value):
        raise malformed(f"{name} is no string")
    return value if isinstance(value, str) else None


def malformed(detail: str) -> Refused:
    """What a statement that cannot be read is refused with."""
    return Refused(Reason.TOKEN_MALFORMED, detail)
