"""A limit as the stage knows it."""

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.kernel.cells import Counter
from gateway.model.limit import LimitPolicy
from gateway.model.shadow import Shadow
from gateway.stages.ratelimit.algorithm import Algorithm


class OnStoreFailure(StrEnum):
    """What a limit means while the store cannot answer."""

    LOCAL = "local"  # this process judges its share by itself
    ALLOW = "allow"  # the limit is not judged
    DENY = "deny"  # 503 store_unavailable


@dataclass(frozen=True, slots=True)
class Decisions:
    """The cells of one limit."""

    admitted: Counter
    refused: Counter  # in shadow: would have been
    error: Counter  # asked, and the store did not answer


@dataclass(frozen=True, slots=True)
class Limit:
    """One entry of `rate_limits`."""

    name: str
    algorithm: Algorithm
    key: tuple[str, ...]  # parts, as routes.yaml writes them; () is one bucket for all
    on_store_failure: OnStoreFailure
    decisions: Decisions
    shadow: Shadow | None = None  # in shadow: what is told where it would refuse
    bucket: tuple[str, ...] = ()  # what its buckets are known by, where that is not its name alone
    least_life: float = 0.0  # seconds: of the longest window under which its buckets are read
    lease: int = 0  # requests that a process may take from the store at once, to spend by itself; 0: it asks each time
    fair: bool = False  # buckets are one principal's each, who has its share of the numbers among those that ask
    policy: LimitPolicy = field(init=False, repr=False, compare=False)  # as callers are told of it

    def __post_init__(self) -> None:
        told = LimitPolicy(self.name, self.algorithm.quota, self.algorithm.window)
        object.__setattr__(self, "policy", told)

    @property
    def identity(self) -> bytes:
        """What a bucket's meaning hangs on: with a new rate it is still the same bucket, with a new key it is not.

        In shadow it is another one (contract section 3): a trial spends nothing of what it is tried beside.
        """
        mode = ("", "shadow") if self.shadow is not None else ()  # no name is empty
        parts = (*mode, *(self.bucket or (self.name,)), self.algorithm.name, *self.key)
        return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)

    @property
    def life(self) -> float:
        """Seconds after which an untouched bucket is as good as none.

        A share is filled more slowly than the whole: rounded down, its rate may fall to half of burst's part in it, and
        neither is less than one.
        """
        life = max(self.algorithm.window, 2 * self.algorithm.life) if self.fair else self.algorithm.life
        return max(life, self.least_life)
