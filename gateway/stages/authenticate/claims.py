"""The claims of a token, judged apart from its signature (RFC 7519 section 4, RFC 9068 section 4, RFC 8725 section 3).

Rule: iss, sub, aud and exp are required, of the right type, and never converted: true is no number, 1 is no name.
Invariant: `explain` and `test` judge made-up claims by this same function.
"""

from collections.abc import Mapping

from gateway.model.json import JSON, Claims
from gateway.model.principal import User
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.bindings import dpop, required_proofs
from gateway.stages.authenticate.evidence import VerifiedToken
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.revoked import marks_of

_TYPES = (None, "jwt", "at+jwt")
_OF_OTHER_TOKENS = ("at_hash", "c_hash", "events")  # ID tokens and security events (contract section 11)
_OTHER_KINDS = frozenset(("refresh", "id", "offline"))
FOREVER = 253402300799.0  # seconds since the epoch: the last second of 9999 (RFC 5280 section 4.1.2.5)
_PROFILE = ("client_id", "jti")  # strings that RFC 9068 section 2.2 adds to what is always required


def check_type(issuer: TrustedIssuer, typ: str | None, claims: Claims) -> None:
    """Raises Refused(TOKEN_TYPE) unless it is an access token of a type that the issuer's entry takes."""
    if typ != "at+jwt" if issuer.profile else typ not in _TYPES:
        raise Refused(Reason.TOKEN_TYPE, "typ is not that of an access token here")
    _check_other_tokens(claims)


def check_expiry(issuer: TrustedIssuer, claims: Claims, now: float) -> None:
    """Raises Refused(TOKEN_EXPIRED | TOKEN_MALFORMED); cheap enough to come before any signature."""
    if now >= expiry(claims) + issuer.clock_skew:
        raise Refused(Reason.TOKEN_EXPIRED, "exp has passed")


def expiry(claims: Claims) -> float:
    """The claim exp. Raises Refused(TOKEN_MALFORMED)."""
    exp = instant(claims, "exp")
    if exp is None:
        raise Refused(Reason.TOKEN_MALFORMED, "exp is missing")
    return exp


def judge_claims(issuer: TrustedIssuer, claims: Claims) -> VerifiedToken:
    """What the signed `claims` prove. Raises Refused(TOKEN_MALFORMED | TOKEN_AUDIENCE | BINDING_MISSING).

    Time and audience are only read here: they are judged for each request.
    """
    if issuer.profile:
        _check_profile(claims)
    return _judge(issuer, claims, claims.get("sub"), expiry(claims), audiences_of(claims))


def judge_answer(issuer: TrustedIssuer, claims: Claims) -> VerifiedToken:
    """What an issuer's answer about an active token proves (RFC 7662 section 2.2). Raises Refused as `judge_claims`.

    What that section leaves optional may be absent: iss is then who was asked, and without exp only the answer's own
    freshness ends it. The subject is sub, else client_id.
    """
    if claims.get("iss", issuer.issuer) != issuer.issuer:
        raise Refused(Reason.TOKEN_ISSUER, "iss is not who was asked")
    _check_kind(claims)
    subject = claims["sub"] if "sub" in claims else claims.get("client_id")
    exp = instant(claims, "exp")
    audiences = audiences_of(claims) if "aud" in claims else frozenset[str]()
    return _judge(issuer, claims, subject, exp if exp is not None else FOREVER, audiences)


def _judge(
    issuer: TrustedIssuer, claims: Claims, subject: JSON, exp: float, audiences: frozenset[str]
) -> VerifiedToken:
    if not isinstance(subject, str) or not subject:
        raise Refused(Reason.TOKEN_MALFORMED, "sub is missing or no string")
    ends = exp + issuer.clock_skew
    not_before, issued = instant(claims, "nbf"), instant(claims, "iat")
    begins = max(not_before if not_before is not None else 0.0, issued if issued is not None else 0.0)
    cnf = _confirmation(claims)
    return VerifiedToken(
        User(issuer.issuer, issuer.name, subject, claims, ends),
        issuer,
        audiences,
        begins - issuer.clock_skew,
        ends,
        required_proofs(issuer.bindings, cnf),
        key_bound=cnf is not None and dpop.MEMBER in cnf,
        marks=marks_of(issuer, subject, claims) if issuer.revocable else (),
        issued=issued,
    )


def _check_other_tokens(claims: Claims) -> None:
    for name in _OF_OTHER_TOKENS:
        if name in claims:
            raise Refused(Reason.TOKEN_TYPE, f"{name} marks a token that is not for access")


def _check_kind(claims: Claims) -> None:
    """An issuer answers about every token of its own: a refresh or ID token is none for access."""
    _check_other_tokens(claims)
    for name in ("token_type", "typ", "token_use"):  # of RFC 7662, of Keycloak, of Cognito
        kind = claims.get(name)
        if isinstance(kind, str) and kind.lower().removesuffix("_token") in _OTHER_KINDS:
            raise Refused(Reason.TOKEN_TYPE, f"{name} says that it is not for access")


def _check_profile(claims: Claims) -> None:
    for name in _PROFILE:
        value = claims.get(name)
        if not isinstance(value, str) or not value:
            raise Refused(Reason.TOKEN_MALFORMED, f"{name} is missing or no string (RFC 9068)")
    if instant(claims, "iat") is None:
        raise Refused(Reason.TOKEN_MALFORMED, "iat is missing (RFC 9068)")


def instant(claims: Claims, name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2) in seconds since the epoch, or None. Raises Refused(TOKEN_MALFORMED)."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(Reason.TOKEN_MALFORMED, f"{name} is no number")
    return float(value)


def audiences_of(claims: Claims) -> frozenset[str]:
    """The claim aud. Raises Refused(TOKEN_AUDIENCE) unless it is a name or names (RFC 7519 section 4.1.3)."""
    aud = claims.get("aud")
    if isinstance(aud, str) and aud:
        return frozenset((aud,))
    if not isinstance(aud, list) or not aud:
        raise Refused(Reason.TOKEN_AUDIENCE, "aud is missing or empty")
    audiences = frozenset(member for member in aud if isinstance(member, str) and member)
    if len(audiences) < len(aud) and not all(isinstance(member, str) and member for member in aud):
        raise Refused(Reason.TOKEN_AUDIENCE, "aud holds something other than names")
    return audiences


def _confirmation(claims: Claims) -> Mapping[str, JSON] | None:
    if "cnf" not in claims:
        return None
    cnf = claims["cnf"]
    if not isinstance(cnf, Mapping):
        raise Refused(Reason.TOKEN_MALFORMED, "cnf is no object")
    return cnf
