"""Bearer JWTs (RFC 7519, RFC 8725, RFC 9068): joserfc verifies, under our own strict reading.

Rule: what can be refused without a signature is refused before one; the key is chosen by issuer and kid.
Invariant: the cache holds claims and the keys that proved them, by a 256-bit digest of the whole token.
"""

from collections.abc import Iterable

from gateway.model.credential import SentToken
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.claims import check_expiry, check_type, judge_claims
from gateway.stages.authenticate.evidence import VerifiedToken, judged_for
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.jose import Unverified, take_apart
from gateway.stages.authenticate.keys import KeySet, VerificationKey

_REMEMBERED = 60.0  # seconds at most, and never past exp
_RETRY_AFTER = 5  # seconds: about when a key feed tries again


class _Entry:
    """A verified token, good while its issuer's keys are this very object."""

    __slots__ = ("keys", "token", "until")

    def __init__(self, token: VerifiedToken, keys: KeySet, until: float) -> None:
        self.token = token
        self.keys = keys
        self.until = until


class JwtVerifier:
    """Proves JWTs of the configured issuers. Lives as long as its settings: a reload begins with an empty cache."""

    def __init__(self, issuers: Iterable[TrustedIssuer], *, capacity: int = 4096) -> None:
        """`capacity`: tokens remembered; only tokens that verified take a place."""
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._capacity = capacity
        self._entries: dict[bytes, _Entry] = {}

    def method(self, token: str) -> str:
        return "jwt"

    async def verify(self, sent: SentToken, now: float) -> VerifiedToken:
        """Raises Refused: 401 TOKEN_*, or 503 KEYS_UNAVAILABLE. Waits only while keys are asked for again."""
        entry = self._entries.get(sent.digest)
        if entry is not None and now < entry.until and entry.token.issuer.keys.current is entry.keys:
            return entry.token
        unverified = take_apart(sent.text)
        issuer = self._issuer(unverified)
        with judged_for(issuer):
            verified, keys = await _prove(issuer, unverified, now)
        self._remember(sent.digest, _Entry(verified, keys, min(verified.ends, now + _REMEMBERED)))
        return verified

    def _issuer(self, unverified: Unverified) -> TrustedIssuer:
        iss = unverified.claims.get("iss")
        if iss is not None and not isinstance(iss, str):
            raise Refused(Reason.TOKEN_MALFORMED, "iss is no string")
        issuer = self._issuers.get(iss) if iss is not None else None
        if issuer is None:
            raise Refused(Reason.TOKEN_ISSUER, "iss is missing or none of the configured issuers")
        return issuer

    def _remember(self, digest: bytes, entry: _Entry) -> None:
        entries = self._entries
        entries.pop(digest, None)
        if len(entries) >= self._capacity:
            del entries[next(iter(entries))]  # the oldest, which would be the next to end
        entries[digest] = entry


async def _prove(issuer: TrustedIssuer, unverified: Unverified, now: float) -> tuple[VerifiedToken, KeySet]:
    """Its claims, and the keys that proved them. Raises Refused."""
    if unverified.alg not in issuer.algorithms:
        raise Refused(Reason.TOKEN_ALGORITHM, f"the algorithm is not one that {issuer.name} may use")
    check_type(issuer, unverified.typ, unverified.claims)
    check_expiry(issuer, unverified.claims, now)
    keys, key = await _choose(issuer, unverified)
    if not key.verifies(unverified.signing_input, unverified.signature):
        raise Refused(Reason.TOKEN_SIGNATURE, f"the signature is not by the key of {issuer.name} that it names")
    return judge_claims(issuer, unverified.claims), keys


async def _choose(issuer: TrustedIssuer, unverified: Unverified) -> tuple[KeySet, VerificationKey]:
    """The issuer's keys and the one that the token names. Raises Refused."""
    keys = _current(issuer)
    kid = unverified.kid
    if kid is not None and not keys.knows(kid):
        answered = await issuer.keys.refetch()
        keys = _current(issuer)
        if not answered and not keys.knows(kid):
            raise _unavailable(issuer)
    key = keys.find(kid, unverified.alg)
    if key is not None:
        return keys, key
    if kid is not None and keys.knows(kid):
        raise Refused(Reason.TOKEN_ALGORITHM, f"the key of {issuer.name} that it names is not one for its algorithm")
    raise Refused(Reason.TOKEN_KEY_UNKNOWN, f"{issuer.name} has no key that it could mean")


def _current(issuer: TrustedIssuer) -> KeySet:
    keys = issuer.keys.current
    if keys is None:
        raise _unavailable(issuer)
    return keys


def _unavailable(issuer: TrustedIssuer) -> Refused:
    return Refused(Reason.KEYS_UNAVAILABLE, f"the keys of {issuer.name} are not available", retry_after=_RETRY_AFTER)
