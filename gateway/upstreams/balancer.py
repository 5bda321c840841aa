"""What a balancer is: which endpoint takes the next request.

Rule: no I/O, no clock; a choice costs the same with two endpoints and with two hundred.
Invariant: a balancer holds no request; it sees names, weights and loads only.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias


class Candidate(Protocol):
    """What a balancer sees of an endpoint."""

    name: str  # the same in every process, and of no other candidate of its upstream
    weight: int

    @property
    def load(self) -> int:
        """Requests that it is busy with, those that wait for a connection to it included."""
        ...


class Balancer(Protocol):
    """One way to choose, made anew whenever other candidates are usable."""

    def __call__(self, key: int | None = None) -> int:
        """The index of the candidate that takes the next request.

        `key`: 64 evenly spread bits that requests which belong together share, where the policy goes by one.
        """
        ...


MakeBalancer: TypeAlias = Callable[
    [Sequence[Candidate], Sequence[int]], Balancer
]  # all, and the indexes that may serve
