"""Client certificates: judged against the bundle of their own trust domain, whatever the handshake made of them.

Rule: a chain is judged once; dates, bundles and revocation lists count again at each request, by two comparisons.
Invariant: what is remembered is bound to the whole chain that was sent and to the very `Trust` that judged it.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.identity import Proof, prove_client
from gateway.kernel.x509.ocsp import StatusQuestion
from gateway.kernel.x509.trust import Trust
from gateway.model.principal import Workload
from gateway.model.refused import Refused


class TrustSource(Protocol):
    """Where bundles and revocation lists come from; a feed fulfils it."""

    @property
    def current(self) -> Trust:
        """What is in force: one object as long as no file changes."""
        ...


class StatusSource(Protocol):
    """What responders (OCSP) say of certificates; a feed fulfils it."""

    def check(self, question: StatusQuestion, now: float) -> None:
        """Raises Refused: CERTIFICATE_REVOKED, or KEYS_UNAVAILABLE where nothing that counts is known."""
        ...

    def asking(self, questions: Sequence[StatusQuestion], now: float) -> Awaitable[None] | None:
        """To wait for before `check` can say all that is to be had; None where there is nothing to wait for."""
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
        return self.proof(chain, now).workload

    def proof(self, chain: tuple[bytes, ...], now: float) -> Proof:
        """What the chain proves but for what responders say. Raises Refused as `judge` does."""
        trust = self._source.current
        entry = self._entries.get(chain)
        if entry is not None and entry.trust is trust and entry.proof.begins <= now <= entry.proof.ends:
            return entry.proof
        return self._prove(chain, trust, now)

    def _prove(self, chain: tuple[bytes, ...], trust: Trust, now: float) -> Proof:
        try:
            proof = prove_client(chain, trust, now)
        except CertificateFault as fault:
            self._entries.pop(chain, None)
            raise Refused(fault.reason, fault.detail) from None
        self._remember(chain, _Entry(proof, trust))
        return proof

    def _remember(self, chain: tuple[bytes, ...], entry: _Entry) -> None:
        entries = self._entries
        entries.pop(chain, None)
        if len(entries) >= self._capacity:
            del entries[next(iter(entries))]
        entries[chain] = entry


class AskedCertificates(CertificateAuthenticator):
    """The same where some authority's certificates are asked about (OCSP) besides.

    `judge` never waits: whoever may wait does that first, on what `asking` says.
    """

    def __init__(self, source: TrustSource, statuses: StatusSource, *, capacity: int = 8192) -> None:
        super().__init__(source, capacity=capacity)
        self._statuses = statuses

    def judge(self, chain: tuple[bytes, ...], now: float) -> Workload:
        """Raises Refused as ever, and KEYS_UNAVAILABLE where a responder has to be asked and gave no answer."""
        proof = self.proof(chain, now)
        for question in proof.questions:
            self._statuses.check(question, now)
        return proof.workload

    def asking(self, chain: tuple[bytes, ...], now: float) -> Awaitable[None] | None:
        """To wait for before `judge`; nobody is asked about a chain that does not hold."""
        try:
            proof = self.proof(chain, now)
        except Refused:
            return None  # as `judge` will say
        return self._statuses.asking(proof.questions, now) if proof.questions else None
