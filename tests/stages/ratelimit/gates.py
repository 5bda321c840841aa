"""Gates for tests, put together by hand."""

from gateway.kernel.cells import Counter
from gateway.model.reason import Effect
from gateway.model.shadow import Shadow
from gateway.stages.ratelimit import FixedWindow, Keyed, Limit, OnStoreFailure
from gateway.stages.ratelimit.algorithm import Algorithm
from gateway.stages.ratelimit.buckets import BucketKeeper, Charge
from gateway.stages.ratelimit.gate import Gate, make_gate
from gateway.stages.ratelimit.limit import Decisions


def limit(
    name: str = "l",
    quota: int = 3,
    window: int = 60,
    *,
    key: tuple[str, ...] = ("principal",),
    algorithm: Algorithm | None = None,
    failing: OnStoreFailure = OnStoreFailure.LOCAL,
    shadow: bool = False,
    lease: int = 0,
) -> Limit:
    cells = Decisions(Counter(), Counter(), Counter())
    told = Shadow("limit", name, Effect.LIMIT, None) if shadow else None
    return Limit(name, algorithm or FixedWindow(quota, window), key, failing, cells, told, lease=lease)


def charge(
    of: Limit, cost: int = 1, *, route: str = "r", upstream: str | None = "backend", secret: bytes = b""
) -> Charge:
    told = of.shadow is None
    return Charge(of, Keyed(of.identity, of.key, route=route, upstream=upstream, secret=secret, told=told), cost)


def gate(keeper: BucketKeeper, *limits: Limit, looked_at: tuple[Limit, ...] = (), route: str = "r") -> Gate:
    charged = [charge(one, route=route, secret=keeper.secret) for one in limits]
    return make_gate(keeper, [*charged, *(charge(one, 0, route=route, secret=keeper.secret) for one in looked_at)])


def counts(of: Limit) -> tuple[int, int, int]:
    """Admitted, refused, errors."""
    cells = of.decisions
    return int(cells.admitted.value), int(cells.refused.value), int(cells.error.value)
