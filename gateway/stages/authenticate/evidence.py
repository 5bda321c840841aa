"""What the stage asks for proofs: two interfaces.

Rule: `explain` and `test` fulfil them with evidence that is taken as verified; all else is judged by the same code.
Invariant: a `VerifiedToken` says who signed which claims, never that they suffice for a request.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from gateway.model.json import JSON
from gateway.model.noun import noun
from gateway.model.principal import User, Workload
from gateway.stages.authenticate.issuer import TrustedIssuer

# A way to prove possession: judges the value of one member of `cnf` (RFC 7800 section 3.1) for a request's workload.
# Raises Refused(BINDING_MISSING | BINDING_MISMATCH).
Confirm: TypeAlias = Callable[[JSON, Workload | None], None]


@noun
class VerifiedToken:
    """A token whose signature holds; its time, audience and binding are still to be judged."""

    user: User
    issuer: TrustedIssuer
    audiences: frozenset[str]
    begins: float  # seconds since the epoch: nbf and iat, less the clock skew
    ends: float  # seconds since the epoch: exp and the clock skew; no longer valid at this instant
    proofs: tuple[tuple[Confirm, JSON], ...]  # what the caller must prove besides, with the expected value


class TokenVerifier(Protocol):
    """Proves a bearer token."""

    async def verify(self, token: str, now: float) -> VerifiedToken:
        """Raises Refused: 401, or 503 KEYS_UNAVAILABLE."""
        ...


class CertificateJudge(Protocol):
    """Proves a client certificate."""

    def judge(self, chain: tuple[bytes, ...], now: float) -> Workload:
        """`chain` is DER, leaf first, never empty. Raises Refused(CERTIFICATE_* | SPIFFE_ID_INVALID)."""
        ...
