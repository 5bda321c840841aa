"""Proofs and what they are compared with; hostile ones stand in tests/attacks/test_proofs.py."""

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.bindings import dpop
from gateway.stages.authenticate.bindings.replays import MemoryReplays
from gateway.stages.authenticate.evidence import Possession
from gateway.testing.clock import Clock
from gateway.testing.dpop import Holder
from gateway.testing.issuer import Issuer
from tests.stages.authenticate.asking import NOW, request, trusted

ISSUER = Issuer(clock=Clock(NOW))
HOLDER = Holder(clock=Clock(NOW))


@pytest.mark.parametrize(
    ("expected", "key", "reason"),
    [
        ("a", "a", None),
        (None, "a", Reason.BINDING_MISSING),
        ("a", None, Reason.BINDING_MISSING),
        ("a", "b", Reason.BINDING_MISMATCH),
        (["a"], "a", Reason.BINDING_MISMATCH),
        ("", "a", Reason.BINDING_MISMATCH),
    ],
)
def test_a_token_is_bound_to_one_key(expected: str | None, key: str | None, reason: Reason | None) -> None:
    found = None
    try:
        dpop.confirm(expected, Possession(None, key))
    except Refused as refused:
        found = refused.reason
    assert found is reason


async def test_a_proof_is_read_any_number_of_times_and_spent_once() -> None:
    token = ISSUER.token(cnf={"jkt": HOLDER.thumbprint})
    text = HOLDER.proof("GET", "https://api.example.com/api", token)
    ctx = request(f"DPoP {token}", headers={"dpop": (text,)})
    proofs, entry = dpop.Proofs(MemoryReplays()), trusted(ISSUER, dpop_age=20.0)
    first, second = proofs.read(ctx, token, entry), proofs.read(ctx, token, entry)
    assert first == second
    assert (first.key, first.age) == (HOLDER.thumbprint, 20.0)
    await proofs.spend(first, entry, NOW)
    with pytest.raises(Refused, match="used before"):
        await proofs.spend(second, entry, NOW)
