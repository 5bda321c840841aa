"""A request that was let in is judged again without a trace, its proof of possession as of then."""

from gateway.control.uncounted import judged_before
from gateway.kernel.cells import Metrics
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.bindings.dpop import Proofs
from gateway.stages.authenticate.bindings.replays import MemoryReplays
from gateway.testing.clock import Clock
from gateway.testing.dpop import Holder
from gateway.testing.issuer import Issuer
from tests.due import due
from tests.exchange import permit
from tests.facts import context, trace
from tests.serving import Gateway
from tests.stages.authenticate.asking import NOW, ask, reason, request, stage, trusted

CLOCK = Clock(NOW)
ISSUER = Issuer("https://auth.example.com", clock=CLOCK)
HOLDER = Holder(clock=CLOCK)


async def test_a_proof_that_was_used_and_is_old_holds_as_of_then() -> None:
    token = ISSUER.token(cnf={"jkt": HOLDER.thumbprint}, exp=NOW + 1000)
    proof = HOLDER.proof("GET", "https://api.example.com/api", token)
    metrics = Metrics()
    authenticate = stage([trusted(ISSUER)], proofs=Proofs(MemoryReplays()), metrics=metrics)
    then = request(f"DPoP {token}", headers={"dpop": (proof,)})
    later = request(f"DPoP {token}", now=NOW + 500, headers={"dpop": (proof,)})
    assert await reason(authenticate, then) is None
    counted = metrics.authentications.rows()
    assert await reason(authenticate, then) is Reason.DPOP_INVALID  # used
    assert await reason(authenticate, later) is Reason.DPOP_INVALID  # too old
    counted = metrics.authentications.rows()
    again = authenticate.again(NOW)
    for _ in range(2):
        assert not isinstance(await ask(again, later), Refused)
    assert await reason(again, request(f"DPoP {token}", now=NOW + 500)) is Reason.BINDING_MISSING
    assert await reason(again, request(f"DPoP {token}", now=NOW + 2000, headers={"dpop": (proof,)})) is (
        Reason.TOKEN_EXPIRED
    )
    assert metrics.authentications.rows() == counted


async def test_limits_are_neither_asked_nor_spent() -> None:
    gateway = Gateway()
    snapshot = gateway.current()
    again = judged_before(snapshot, NOW)
    allowed = permit(context("/a"))
    told = trace(allowed.ctx.head)
    assert again.ratelimit is not snapshot.ratelimit
    assert await due(again.ratelimit.by_address(allowed.ctx, allowed.route, told)) == []
    assert await due(again.ratelimit.by_caller(allowed.ctx, allowed.route, allowed.principal, told)) == []
    await again.ratelimit.failed_credential(allowed.ctx, allowed.route, told)
    assert (again.route, again.authorize) == (snapshot.route, snapshot.authorize)
