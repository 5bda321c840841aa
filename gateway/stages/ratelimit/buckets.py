"""What the stage asks of whoever keeps the buckets: to judge some limits together, all or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.kernel.store import Entry
from gateway.stages.ratelimit.algorithm import Algorithm, State
from gateway.stages.ratelimit.keys import Keyed
from gateway.stages.ratelimit.limit import Limit
from gateway.stages.ratelimit.slots import Slots


@dataclass(frozen=True, slots=True)
class Charge:
    """A limit at a gate."""

    limit: Limit
    keyed: Keyed
    cost: int = 1  # 0: it has to have room for one, and nothing is spent
    asking: Keyed | None = None  # of a fair limit: the set of those that ask for what it shares

    @property
    def enforced(self) -> bool:
        """False for a limit in shadow, which refuses nothing and spends what it would have admitted."""
        return self.limit.shadow is None


def keys_of(charges: Sequence[Charge]) -> list[Keyed]:
    """What names what a check is asked for: the bucket of each charge, then the set of each fair one."""
    return [charge.keyed for charge in charges] + [c.asking for c in charges if c.asking is not None]


def fair_places(charges: Sequence[Charge]) -> list[tuple[int, int]]:
    """Of each fair charge its place, and that of its set among the names."""
    fair = [index for index, charge in enumerate(charges) if charge.asking is not None]
    return [(index, len(charges) + number) for number, index in enumerate(fair)]


Reading: TypeAlias = tuple[int, int, float, float]
"""What came of one limit: room before this request (0: it refuses), remaining after it, seconds until it would admit it
(0.0 where it does not refuse), seconds until the quota is whole. A bare tuple: one is made per limit and request."""


class Table(Protocol):
    """Buckets of one meaning."""

    def get(self, name: bytes, now: float) -> State | None:
        """The bucket's state; None for one that was never used."""
        ...

    def put(self, name: bytes, state: State, now: float) -> Entry[State] | None:
        """Keep the bucket; its entry, where it can be used without asking the table."""
        ...

    def drop(self, name: bytes) -> None:
        """Forget the bucket."""
        ...


Bucket: TypeAlias = tuple[Table, Algorithm, int]
"""Where and how one charge is judged, and its price there."""


class Check(Protocol):
    """Judges a fixed set of charges.

    One reading for each charge, in order; None for one that was not judged because the store failed.
    `names`: their buckets, then the sets of the fair ones (`keys_of`); `now`: wall clock, for buckets that are kept
    here. Raises Refused(STORE_UNAVAILABLE).
    """

    def judge(self, names: Sequence[bytes], now: float) -> Sequence[Reading | None] | None:
        """The readings when nothing has to be waited for; None: await `ask` instead."""
        ...

    async def ask(self, names: Sequence[bytes], now: float) -> Sequence[Reading | None]:
        """The readings, from the store."""
        ...


class BucketKeeper(Protocol):
    """Where buckets are kept."""

    @property
    def secret(self) -> bytes:
        """What buckets' names are keyed with."""
        ...

    @property
    def one_slot(self) -> bool:
        """True in a cluster: buckets that are judged together have to lie in one slot."""
        ...

    @property
    def slots(self) -> Slots:
        """The places of this process under limits of concurrency."""
        ...

    def bucket(self, charge: Charge) -> Bucket | None:
        """Where a charge that is alone in its gate is judged, with what spends; None: `check` has to be asked."""
        ...

    def check(self, charges: Sequence[Charge]) -> Check:
        """Prepare for these charges; called when a snapshot is built."""
        ...
