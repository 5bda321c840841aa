"""What an algorithm is asked: pure functions of a bucket's state, the time, and its own settings.

What decides is written twice, in Python for this process and in Lua for Redis; tests run both over the same times.
A state survives a change of the rate: it holds times and counts, never something that only one rate can read.
"""

from typing import ClassVar, Protocol, TypeAlias

State: TypeAlias = tuple[float, float, float]
"""(a time in seconds since the epoch, requests, requests before): what exactly, each algorithm says."""

Taken: TypeAlias = tuple[State, int, float]
"""What is left where a request was admitted: the state, how many more would be, seconds until the quota is whole."""


class Algorithm(Protocol):
    """One way to count. Equal settings make equal algorithms."""

    name: ClassVar[str]
    lua: ClassVar[str]
    """`look` as the body of a Lua function over (since, count, before, now, quota, window, burst):
    returns since, count, before, room."""

    @property
    def quota(self) -> int:
        """Requests in a window."""
        ...

    @property
    def window(self) -> int:
        """Seconds."""
        ...

    @property
    def burst(self) -> int:
        """Requests that may come at once."""
        ...

    @property
    def life(self) -> float:
        """Seconds after which an untouched bucket is as good as none."""
        ...

    def look(self, state: State | None, now: float) -> tuple[State, int]:
        """The state at `now`, and how many requests would be admitted then (never negative).

        None: a bucket that was never used.
        """
        ...

    def wait(self, state: State, now: float, cost: int = 1) -> float:
        """Seconds until there is room for `cost`, where `state` is that of `now`; asked where there is none.

        More than there ever is room for: until the quota is whole.
        """
        ...

    def reset(self, state: State, now: float) -> float:
        """Seconds until the quota is whole again, where `state` is that of `now`."""
        ...

    def take(self, state: State | None, now: float, cost: int) -> Taken | None:
        """`look`, `spent` and `reset` in one, where there is room for `cost` (1 at least); None where there is not."""
        ...

    def resized(self, quota: int, burst: int) -> "Algorithm":
        """The same with other numbers; `burst` counts only where it is not the quota itself."""
        ...


def share(algorithm: Algorithm, processes: int) -> Algorithm:
    """The same for one of so many processes: rate and burst divided, rounded up."""
    return algorithm.resized(-(-algorithm.quota // processes), -(-algorithm.burst // processes))


def fair_share(algorithm: Algorithm, asking: int) -> Algorithm:
    """The same for one of so many principals: rate and burst divided, rounded down, and one at least."""
    return algorithm.resized(max(1, algorithm.quota // asking), max(1, algorithm.burst // asking))


def price(algorithm: Algorithm, cost: int) -> int:
    """What a request of `cost` takes: never more than there can be, so that a small share still lets one through."""
    return min(cost, algorithm.burst)


def spent(state: State, cost: int) -> State:
    """The state after `cost` more: every algorithm counts it in the second place."""
    return state[0], state[1] + cost, state[2]


def take(algorithm: Algorithm, state: State | None, now: float, cost: int) -> Taken | None:
    """`Algorithm.take`, as it is defined."""
    state, room = algorithm.look(state, now)
    if room < cost:
        return None
    after = spent(state, cost)
    return after, room - cost, algorithm.reset(after, now)
