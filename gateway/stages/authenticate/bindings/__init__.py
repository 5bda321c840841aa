"""Ways to bind a token to its holder: a file each, one line each in `CONFIRMATIONS`.

Rule: any known member of `cnf` is enforced, whether or not this issuer's entry asks for binding (RFC 8705 section 3).
Invariant: a token that is bound in a way nobody here can check is refused, never taken for a bearer token.
"""

from collections.abc import Mapping

from gateway.model.json import JSON
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.bindings import dpop, mtls
from gateway.stages.authenticate.evidence import Confirm, Possession
from gateway.stages.authenticate.issuer import BindingMode

CONFIRMATIONS: Mapping[str, Confirm] = {
    mtls.MEMBER: mtls.confirm,
    dpop.MEMBER: dpop.confirm,
}


def required_proofs(
    modes: Mapping[str, BindingMode], cnf: Mapping[str, JSON] | None
) -> tuple[tuple[Confirm, JSON], ...]:
    """What the holder of a token with this `cnf` must prove, under an issuer's `modes` by member."""
    members = cnf if cnf is not None else {}
    proofs = [
        (confirm, members.get(member))
        for member, confirm in CONFIRMATIONS.items()
        if modes[member] == "required" or (modes[member] == "optional" and member in members)
    ]
    if cnf is not None and not proofs and CONFIRMATIONS.keys().isdisjoint(members):
        proofs.append((_unknown, None))
    return tuple(proofs)


def _unknown(_expected: JSON, _possession: Possession) -> None:
    raise Refused(Reason.BINDING_MISSING, "the token is bound in a way that is not known here")
