"""What a balancer is: which endpoint takes the next request.

Rule: no I/O, no clock; a choice costs the same with two endpoints and with two hundred.
Invariant: a balancer holds no request; it sees weights and loads only.
"""

from collections.abc import Callable, Sequence
from typing import Protocol


class Candidate(Protocol):
    """What a balancer sees of an endpoint."""

    weight: int

    @property
    def load(self) -> int:
        """Requests that it is busy with, those that wait for a connection to it included."""
        ...


class Balancer(Protocol):
    """One way to choose, made anew for each set of candidates."""

    def __call__(self) -> int:
        """The index of the candidate that takes the next request."""
        ...


MakeBalancer = Callable[[Sequence[Candidate]], Balancer]
