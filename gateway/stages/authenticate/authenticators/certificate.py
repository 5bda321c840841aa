"""Client certificates: judged against the bundle of their own trust domain, whatever the handshake made of them.

Rule: a chain is judged once; dates, bundles and revocation lists count again at each request, by two comparisons.
Invariant: what is remembered is bound to the whole chain that was sent and to the very `Trust` that judged it.
"""

from typing import Protocol

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.identity import Proof, prove_client
from gateway.kernel.x509.trust import Trust
from gateway.model.principal import Workload
from gateway.model.refused import Refused


class TrustSource(Protocol):
    """Where bundles and revocation lists come from; a feed fulfils it."""

    @property
    def current(self) -> Trust:
        """What is in force: one object as long as no file changes."""
        ...


class _Entry:
    __slots__ = ("proof", "trust")

    def __init__(self, proof: Proof, trust: Trust) -> None:
        self.proof = proof
        self.trust = trust


class CertificateAuthenticator:
    """Judges client certificates. Long-lived, like the source that it asks."""

    def __init__(self, source: TrustSource, *, capacity: int = 8192) -> None:
        """`capacity`: chains remembered; only chains that held take a place."""
        self._source = source
        self._capacity = capacity
        self._entries: dict[tuple[bytes, ...], _Entry] = {}

    def judge(self, chain: tuple[bytes, ...], now: float) -> Workload:
        """Raises Refused(CERTIFICATE_UNTRUSTED | CERTIFICATE_EXPIRED | CERTIFICATE_REVOKED | SPIFFE_ID_INVALID)."""
        trust = self._source.current
        entry = self._entries.get(chain)
        if entry is not None and entry.trust is trust and entry.proof.begins <= now <= entry.proof.ends:
            return entry.proof.workload
        try:
            proof = prove_client(chain, trust, now)
        except CertificateFault as fault:
            self._entries.pop(chain, None)
            raise Refused(fault.reason, fault.detail) from None
        self._remember(chain, _Entry(proof, trust))
        return proof.workload

    def _remember(self, chain: tuple[bytes, ...], entry: _Entry) -> None:
        entries = self._entries
        entries.pop(chain, None)
        if len(entries) >= self._capacity:
            del entries[next(iter(entries))]
        entries[chain] = entry
