"""Whether an issuer signed what a JWS says: access tokens, and what else an issuer sends (logout tokens, events).

Rule: the algorithm is one that the issuer may use, and the key is chosen by issuer and kid (RFC 8725 section 3.1).
Invariant: an issuer whose keys cannot be had is never a verdict on what it may have signed (503).
"""

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.jose import Unverified
from gateway.stages.authenticate.keys import KeySet, VerificationKey

_RETRY_AFTER = 5  # seconds: about when a key feed tries again


def check_algorithm(issuer: TrustedIssuer, unverified: Unverified) -> None:
    """Raises Refused(TOKEN_ALGORITHM); costs nothing, so it comes before all else."""
    if unverified.alg not in issuer.algorithms:
        raise Refused(Reason.TOKEN_ALGORITHM, f"the algorithm is not one that {issuer.name} may use")


async def check_signature(issuer: TrustedIssuer, unverified: Unverified) -> KeySet:
    """The keys of which one proved it. Waits only while keys are asked for again.

    Raises Refused: TOKEN_SIGNATURE, TOKEN_KEY_UNKNOWN, TOKEN_ALGORITHM, or 503 KEYS_UNAVAILABLE.
    """
    keys, key = await _choose(issuer, unverified)
    if not key.verifies(unverified.signing_input, unverified.signature):
        raise Refused(Reason.TOKEN_SIGNATURE, f"the signature is not by the key of {issuer.name} that it names")
    return keys


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
