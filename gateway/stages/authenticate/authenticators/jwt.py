"""Bearer JWTs (RFC 7519, RFC 8725, RFC 9068): joserfc verifies, under our own strict reading.

Rule: what can be refused without a signature is refused before one; the key is chosen by issuer and kid.
Invariant: the cache holds claims and the keys that proved them, by a 256-bit digest of the whole token.
"""

from collections.abc import Iterable

from gateway.kernel.answers import Remembered
from gateway.model.credential import SentToken
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.claims import check_expiry, check_type, judge_claims
from gateway.stages.authenticate.evidence import HeldToken, VerifiedToken, judged_for
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.jose import Unverified, take_apart
from gateway.stages.authenticate.keys import KeySet
from gateway.stages.authenticate.signatures import check_algorithm, check_signature

_REMEMBERED = 60.0  # seconds at most, and never past exp


class JwtVerifier:
    """Proves JWTs of the configured issuers. Lives as long as its settings: a reload begins with an empty cache."""

    def __init__(self, issuers: Iterable[TrustedIssuer], *, capacity: int = 4096) -> None:
        """`capacity`: tokens remembered; only tokens that verified take a place."""
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self.held: Remembered[HeldToken] = Remembered(capacity)  # the one that goes would be the next to end

    def method(self, token: str) -> str:
        return "jwt"

    def known(self, sent: SentToken, now: float) -> VerifiedToken | None:
        """The very same token, verified by the keys that its issuer has now."""
        held = self.held.get(sent.digest)
        if held is not None and now < held.until and held.source.current is held.keys:
            return held.token
        return None

    async def verify(self, sent: SentToken, now: float) -> VerifiedToken:
        """Raises Refused: 401 TOKEN_*, or 503 KEYS_UNAVAILABLE. Waits only while keys are asked for again."""
        known = self.known(sent, now)
        if known is not None:
            return known
        unverified = take_apart(sent.text)
        issuer = self._issuer(unverified)
        with judged_for(issuer):
            verified, keys = await _prove(issuer, unverified, now)
        self.held.keep(sent.digest, HeldToken(verified, keys, min(verified.ends, now + _REMEMBERED)))
        return verified

    def _issuer(self, unverified: Unverified) -> TrustedIssuer:
        iss = unverified.claims.get("iss")
        if iss is not None and not isinstance(iss, str):
            raise Refused(Reason.TOKEN_MALFORMED, "iss is no string")
        issuer = self._issuers.get(iss) if iss is not None else None
        if issuer is None:
            raise Refused(Reason.TOKEN_ISSUER, "iss is missing or none of the configured issuers")
        return issuer


async def _prove(issuer: TrustedIssuer, unverified: Unverified, now: float) -> tuple[VerifiedToken, KeySet]:
    """Its claims, and the keys that proved them. Raises Refused."""
    check_algorithm(issuer, unverified)
    check_type(issuer, unverified.typ, unverified.claims)
    check_expiry(issuer, unverified.claims, now)
    keys = await check_signature(issuer, unverified)
    return judge_claims(issuer, unverified.claims), keys
