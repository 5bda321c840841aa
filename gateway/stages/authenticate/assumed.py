"""Evidence that is taken as verified, for `explain` and `test` (contract sections 1 and 8).

Rule: only the proof is made up; type, time, audience, binding and trust domain are judged by the code that serves.
Invariant: the serving snapshot never holds one of these.
"""

from collections.abc import Container

from gateway.kernel.x509.identity import spiffe_workload
from gateway.kernel.x509.spiffe import parse_leaf_id
from gateway.model.json import Claims
from gateway.model.principal import Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.claims import check_expiry, check_type, judge_claims
from gateway.stages.authenticate.evidence import VerifiedToken
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.keys import KeySet

FOREVER = 253402300799.0  # the last second of 9999 (RFC 5280 section 4.1.2.5): an assumed certificate does not end


class AssumedToken:
    """Whatever token a request carries, it is this one."""

    def __init__(self, issuer: TrustedIssuer, claims: Claims) -> None:
        """`claims`: whole; what the contract fills in (iss, aud, exp) the caller has filled in."""
        self._issuer = issuer
        self._claims = claims

    async def verify(self, token: str, now: float) -> VerifiedToken:
        """Raises Refused as for a token whose signature holds."""
        if self._claims.get("iss") != self._issuer.issuer:
            raise Refused(Reason.TOKEN_ISSUER, "iss is not that of the named issuer")
        check_type(self._issuer, "at+jwt", self._claims)
        check_expiry(self._issuer, self._claims, now)
        return judge_claims(self._issuer, self._claims)


class AssumedCertificate:
    """Whatever chain a connection carries, it proves this SPIFFE id."""

    def __init__(self, spiffe_id: str, trust_domains: Container[str]) -> None:
        """`trust_domains`: those for which the file has a bundle."""
        self._id = spiffe_id
        self._trust_domains = trust_domains

    def judge(self, chain: tuple[bytes, ...], now: float) -> Workload:
        """Raises Refused(SPIFFE_ID_INVALID | CERTIFICATE_UNTRUSTED)."""
        try:
            identity = parse_leaf_id(self._id)
        except ValueError as error:
            raise Refused(Reason.SPIFFE_ID_INVALID, str(error)) from None
        if identity.trust_domain not in self._trust_domains:
            raise Refused(Reason.CERTIFICATE_UNTRUSTED, "no bundle is configured for the id's trust domain")
        return spiffe_workload(identity, not_after=FOREVER)


class FixedKeys:
    """Keys from a file that was read once: the key source of an offline `--token`."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    @property
    def current(self) -> KeySet | None:
        return self._keys

    async def refetch(self) -> bool:
        """There is nowhere to ask: these are all."""
        return True
