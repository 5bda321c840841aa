"""Evidence that is taken as verified, for `explain` and `test` (contract sections 1 and 8).

Rule: only the proof is made up; type, time, audience, binding and trust domain are judged by the code that serves.
Invariant: the serving snapshot never holds one of these.
"""

from collections.abc import Callable, Container

from gateway.kernel.x509.identity import spiffe_workload
from gateway.kernel.x509.spiffe import parse_leaf_id
from gateway.model.credential import SentToken
from gateway.model.json import Claims
from gateway.model.principal import Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.claims import FOREVER, check_expiry, check_type, judge_claims
from gateway.stages.authenticate.evidence import NONE_HELD, VerifiedToken, judged_for
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.keys import KeySet


class AssumedToken:
    """Whatever token a request carries, it is this one."""

    held = NONE_HELD

    def __init__(self, issuer: TrustedIssuer, claims: Claims) -> None:
        """`claims`: whole; what the contract fills in (iss, aud, exp) the caller has filled in."""
        self._issuer = issuer
        self._claims = claims

    def method(self, token: str) -> str:
        return "jwt"

    def known(self, sent: SentToken, now: float) -> VerifiedToken | None:
        """Nothing was verified before."""
        return None

    async def verify(self, sent: SentToken, now: float) -> VerifiedToken:
        """Raises Refused as for a token whose signature holds."""
        if self._claims.get("iss") != self._issuer.issuer:
            raise Refused(Reason.TOKEN_ISSUER, "iss is not that of the named issuer")
        with judged_for(self._issuer):
            check_type(self._issuer, "at+jwt", self._claims)
            check_expiry(self._issuer, self._claims, now)
            return judge_claims(self._issuer, self._claims)


class AssumedCertificate:
    """Whatever chain a connection carries, it proves this SPIFFE id, or this `dns:NAME`."""

    def __init__(
        self, identity: str, trust_domains: Container[str], vouches: Callable[[str], bool] | None = None
    ) -> None:
        """`trust_domains`: those with a bundle; `vouches`: may some client authority sign a DNS name."""
        self._id = identity
        self._trust_domains = trust_domains
        self._vouches = vouches

    def judge(self, chain: tuple[bytes, ...], now: float) -> Workload:
        """Raises Refused(SPIFFE_ID_INVALID | CERTIFICATE_UNTRUSTED)."""
        try:
            workload = self._workload()
        except ValueError as error:
            raise Refused(Reason.SPIFFE_ID_INVALID, str(error)) from None
        if not self.vouched(workload):
            missing = "client authority may vouch for the name" if workload.dns_names else "bundle is configured for it"
            raise Refused(Reason.CERTIFICATE_UNTRUSTED, f"no {missing}")
        return workload

    def presented(self) -> Workload | None:
        """Whom it presents, vouched for or not; None where it is no identity."""
        try:
            return self._workload()
        except ValueError:
            return None

    def vouched(self, workload: Workload) -> bool:
        """True when the file has an authority for it."""
        if workload.dns_names:
            return self._vouches is not None and self._vouches(workload.dns_names[0])
        return workload.trust_domain in self._trust_domains

    def _workload(self) -> Workload:
        if self._id.startswith("dns:"):
            name = self._id.removeprefix("dns:")
            return Workload(self._id, None, None, None, "", "", FOREVER, "", (name,))
        return spiffe_workload(parse_leaf_id(self._id), not_after=FOREVER)


class NothingUsed:
    """Proofs of a request that is judged and not served: none was used before, and none is after."""

    async def first(self, name: bytes, life: float, now: float) -> bool:
        return True


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
