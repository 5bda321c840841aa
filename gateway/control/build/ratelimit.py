"""`rate_limits` of the config into the gates of a snapshot.

The store outlives snapshots: `LimitStore` is made once, and again only when `store` or `workers` changed.
Gates of one set of limits are shared by all routes on which the set means the same.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from gateway.config.schema import Config
from gateway.config.schema import Listener as ListenerConfig
from gateway.config.schema import Route as RouteConfig
from gateway.control.build.limits import Named, build_limit
from gateway.kernel.cells import Metrics
from gateway.kernel.store import MemoryStore, RedisAddress, RedisStore, open_store
from gateway.stages.ratelimit import Gates, Keyed, Leases, LeasingBuckets, Limit, LocalBuckets, RateLimit, Slots
from gateway.stages.ratelimit.algorithm import State
from gateway.stages.ratelimit.buckets import BucketKeeper, Charge
from gateway.stages.ratelimit.gate import ChosenGate, Entrance, Gate, make_gate


class LimitStore:
    """Where this process keeps its buckets: long-lived, `start`ed in the loop and `close`d at the end."""

    def __init__(self, address: RedisAddress | None, workers: int, metrics: Metrics) -> None:
        """`address`: None for memory://. `workers`: processes that share it as far as nobody knows better."""
        self.address = address
        self.workers = workers
        self._memory: MemoryStore[State] = MemoryStore()
        self._redis: RedisStore | None = None
        self._leases: Leases | None = None
        self._up = metrics.rate_limit_store_up
        self._tell: Callable[[bool], None] | None = None
        if address is None:
            self._slots = Slots()
            self.keeper: BucketKeeper = LocalBuckets(self._memory, workers, self._slots)
            return
        redis = self._redis = open_store(address, self._state)
        self._slots = Slots(redis)
        fallback = LocalBuckets(self._memory, lambda: redis.processes or workers, self._slots)
        self._leases = Leases(redis)
        self.keeper = LeasingBuckets(redis, fallback, _secret(address), self._leases)

    @classmethod
    def of(cls, config: Config, metrics: Metrics) -> "LimitStore":
        """The store that `config` names. Raises ValueError for an address that means nothing."""
        return cls(_address(config), config.workers, metrics)

    def serves(self, config: Config) -> bool:
        """True when it is the store of `config` too, so that a reload keeps it."""
        return self.address == _address(config) and self.workers == config.workers

    @property
    def redis(self) -> RedisStore | None:
        """The store behind it, for what else all replicas have to agree on; None for memory://."""
        return self._redis

    @property
    def trouble(self) -> str | None:
        """Why the store, or a part of it, is down, for /readyz?verbose; None while all of it is up."""
        return (self._redis.trouble or None) if self._redis is not None else None

    async def start(self, tell: Callable[[bool], None] = lambda _: None) -> None:
        """Connect, or warn once; never raises. `tell` is told how it stands now, and whenever that changes."""
        if self._redis is None:
            self._up.set(1)
            return
        await self._redis.start()
        self._slots.start()
        self._tell = tell
        tell(not self._redis.trouble)

    def _state(self, up: bool) -> None:
        self._up.set(float(up))
        if self._tell is not None:
            self._tell(up)

    async def close(self) -> None:
        """Give back what the store lent."""
        await self._slots.close()
        if self._leases is not None:
            await self._leases.close()
        if self._redis is not None:
            await self._redis.close()


def build_ratelimit(config: Config, store: LimitStore, metrics: Metrics) -> RateLimit:
    """The stage of a snapshot."""
    limits = {name: build_limit(name, limit, metrics) for name, limit in config.rate_limits.items()}
    make = _Maker(config, limits, store.keeper)
    return RateLimit(
        {
            name: [make.gates(listener, route) for route in (None, *config.routes)]
            for name, listener in config.listeners.items()
        }
    )


class _Maker:
    """Makes gates, each only once."""

    def __init__(self, config: Config, limits: dict[str, Named], keeper: BucketKeeper) -> None:
        self._config = config
        self._limits = limits
        self._keeper = keeper
        self._made: dict[tuple[object, ...], Entrance] = {}
        self._gates: dict[Gates, Gates] = {}  # thousands of routes mostly meet the same
        self._slots = slot_parts(config) if keeper.one_slot else {}

    def gates(self, listener: ListenerConfig, route: RouteConfig | None) -> Gates:
        """Those of one route, or of requests without one (which are never authenticated)."""
        failures = listener.on_failed_authentication
        by_address, by_caller = _meeting(self._config, listener, route)
        costs = _costs(route)
        failed = {failures: 1} if failures is not None and route is not None else {}
        address = {name: costs.get(name, 1) for name in by_address}
        gates = Gates(
            address=self._gate(address, route),
            address_with_credential=self._gate({**dict.fromkeys(failed, 0), **address}, route),
            caller=self._gate({name: costs.get(name, 1) for name in by_caller} if route is not None else {}, route),
            failed=self._gate(failed, route),
        )
        return self._gates.setdefault(gates, gates)

    def _gate(self, costs: Mapping[str, int], route: RouteConfig | None) -> Entrance:
        """Gates differ by route only where a key does, or a cost."""
        parts = {part for name in costs for part in self._config.rate_limits[name].key}
        route_name = route.name if route is not None and "route" in parts else ""
        upstream = route.upstream[0].upstream if route is not None and route.upstream and "upstream" in parts else None
        charged = dict(sorted(costs.items(), key=lambda each: not each[1]))  # those that are only looked at come last
        key = (tuple(charged.items()), route_name, upstream)
        gate = self._made.get(key)
        if gate is None:
            gate = self._made[key] = self._make(charged, route_name, upstream)
        return gate

    def _make(self, costs: Mapping[str, int], route: str, upstream: str | None) -> Entrance:
        named = [(self._limits[name], name, cost) for name, cost in costs.items()]

        def gate(which: Sequence[int]) -> Gate:
            return make_gate(
                self._keeper,
                [
                    Charge(
                        limit,
                        self._keyed(name, limit, route, upstream),
                        cost,
                        self._asking(name, limit, route, upstream) if limit.fair else None,
                    )
                    for (each, name, cost), number in zip(named, which, strict=True)
                    for limit in each.of(number)
                ],
            )

        chooses = [each.choose for each, _, _ in named]
        if not any(chooses):
            return gate([-1] * len(named))
        return ChosenGate([choose or (lambda *_: -1) for choose in chooses], gate)

    def _keyed(self, name: str, limit: Limit, route: str, upstream: str | None) -> Keyed:
        return Keyed(
            limit.identity,
            limit.key,
            route=route,
            upstream=upstream,
            secret=self._keeper.secret,
            told=limit.shadow is None and not limit.fair,  # a share tells how many others ask
            slot=self._slots.get(name),
        )

    def _asking(self, name: str, limit: Limit, route: str, upstream: str | None) -> Keyed:
        """The set of those that ask for what a fair limit shares."""
        return Keyed(
            limit.identity + b"asking",
            self._config.rate_limits[name].key,
            route=route,
            upstream=upstream,
            secret=self._keeper.secret,
            slot=self._slots.get(name),
        )


def _costs(route: RouteConfig | None) -> dict[str, int]:
    """What a request of a route costs; of two entries for one limit the greater holds."""
    costs: dict[str, int] = {}
    for use in route.rate_limits if route is not None else ():
        costs[use.limit] = max(use.cost, costs.get(use.limit, 1))
    return costs


def _meeting(config: Config, listener: ListenerConfig, route: RouteConfig | None) -> tuple[list[str], list[str]]:
    """The limits that a request meets by its address, and by its caller."""
    names = list(dict.fromkeys((*listener.rate_limits, *_costs(route))))
    by_address = [name for name in names if config.rate_limits[name].by_address]
    return by_address, [name for name in names if name not in by_address]


def slot_parts(config: Config) -> dict[str, tuple[str, ...]]:
    """For each limit the parts of its key that choose its slot in a cluster.

    Limits that meet at some gate are judged in one call, so they lie in one slot: it hangs on what all of them, and all
    that those meet elsewhere, count by.
    """
    together: dict[str, set[str]] = {name: {name} for name in config.rate_limits}
    for listener in config.listeners.values():
        failures = listener.on_failed_authentication
        for route in (None, *config.routes):
            by_address, by_caller = _meeting(config, listener, route)
            for names in ([*by_address, failures] if failures is not None else by_address, by_caller):
                met = set().union(*(together[name] for name in names))
                for name in met:
                    together[name] = met
    common = {
        name: set.intersection(*(set(config.rate_limits[each].key) for each in met)) for name, met in together.items()
    }
    return {name: tuple(sorted(parts)) for name, parts in common.items()}


def _address(config: Config) -> RedisAddress | None:
    url = config.store.get_secret_value()
    return None if url == "memory://" else RedisAddress.parse(url, config.path.absolute().parent)


def _secret(address: RedisAddress) -> bytes:
    """A key for buckets' names that all replicas share and Redis' dumps do not hold: made of what logs them in.

    Without a password the names are plain digests; with a new one every bucket begins anew.
    """
    if not address.password:
        return b""
    return hashlib.blake2b(address.password.encode(), digest_size=32, person=b"gateway buckets").digest()
