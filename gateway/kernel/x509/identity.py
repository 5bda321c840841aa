"""The identity that a client's certificates prove.

Rule: a SPIFFE id, else a DNS name that a client authority may vouch for, and nothing else (RFC 9525: no common name).
Invariant: the bundle that is asked is chosen by the identity, so no authority can speak for another's names.
"""

from collections.abc import Sequence

from gateway.kernel.x509.chain import Verdict, judge_chain
from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import Leaf, Purpose, check_usage, plain_dns_names, read_leaf, spiffe_id
from gateway.kernel.x509.ocsp import StatusQuestion
from gateway.kernel.x509.spiffe import SpiffeId
from gateway.kernel.x509.trust import Trust
from gateway.model.noun import noun
from gateway.model.principal import Workload
from gateway.model.reason import Reason


@noun
class Proof:
    """A workload and when its certificates prove it: seconds since the epoch, both ends included."""

    workload: Workload
    begins: float
    ends: float
    questions: tuple[StatusQuestion, ...] = ()  # that responders (OCSP) are to be asked besides


def prove_client(chain: Sequence[bytes], trust: Trust, now: float) -> Proof:
    """The identity behind `chain` (DER, leaf first). Raises CertificateFault with the reason of the refusal."""
    leaf = read_leaf(chain[0])
    identity = spiffe_id(leaf)
    if identity is not None:
        authority = trust.domains.get(identity.trust_domain)
        if authority is None:
            raise CertificateFault(Reason.CERTIFICATE_UNTRUSTED, "no bundle is configured for the id's trust domain")
        check_usage(leaf, Purpose.CLIENT)
        return _proof(leaf, identity.id, identity, judge_chain(leaf, chain[1:], authority, now))
    names = plain_dns_names(leaf)
    if not names:
        raise CertificateFault(Reason.CERTIFICATE_UNTRUSTED, "the certificate has no SPIFFE id and no DNS name")
    check_usage(leaf, Purpose.CLIENT)
    name, verdict = _vouched(leaf, names, chain[1:], trust, now)
    return _proof(leaf, f"dns:{name}", None, verdict)


def spiffe_workload(identity: SpiffeId, *, not_after: float) -> Workload:
    """A workload of which only the SPIFFE id is known, for `explain` and `test`; `not_after`: seconds since 1970."""
    return Workload(
        identity.id, identity.trust_domain, identity.namespace, identity.service_account, "", "", not_after, "", ()
    )


def _vouched(
    leaf: Leaf, names: tuple[str, ...], sent: Sequence[bytes], trust: Trust, now: float
) -> tuple[str, Verdict]:
    """The first name of the certificate for which an authority that signed it may vouch, in the file's order."""
    fault = CertificateFault(Reason.CERTIFICATE_UNTRUSTED, "no client authority may vouch for the certificate's names")
    for client_authority in trust.client_authorities:
        name = next(filter(client_authority.vouches, names), None)
        if name is None:
            continue
        try:
            return name, judge_chain(leaf, sent, client_authority.authority, now)
        except CertificateFault as refused:
            if refused.reason is not Reason.CERTIFICATE_UNTRUSTED:
                raise  # it vouched, and took it back: nobody else is asked
            fault = refused
    raise fault


def _proof(leaf: Leaf, identity: str, spiffe: SpiffeId | None, verdict: Verdict) -> Proof:
    workload = Workload(
        identity,
        spiffe.trust_domain if spiffe is not None else None,
        spiffe.namespace if spiffe is not None else None,
        spiffe.service_account if spiffe is not None else None,
        leaf.fingerprint,
        leaf.thumbprint,
        verdict.not_after,
        leaf.subject,
        leaf.dns_names,
    )
    return Proof(workload, verdict.begins, verdict.ends, verdict.questions)
