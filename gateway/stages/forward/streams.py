"""Answers that stay open, and what they are ended with.

Rule: only what outlives the first write of its answer is entered; a short answer never comes here.
Invariant: what was ended is broken off, or closed with a code that says so; never ended as if it were whole.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused


class AuthorityEnded(Refused):
    """What authorised a stream has ended."""

    def __init__(self, cause: Refused) -> None:
        """`cause`: what a new request would be refused for."""
        super().__init__(Reason.AUTHORITY_ENDED, cause.detail)
        self.cause = cause.reason
        self.refused = cause


class Entry(Protocol):
    """A stream that was entered."""

    def leave(self) -> None:
        """It is over. Also for one that was ended."""
        ...


class Streams(Protocol):
    """Who watches over open streams."""

    def enter(self, permit: Permit, end: Callable[[Refused], None], drain: Callable[[], None] | None = None) -> Entry:
        """A stream is open. `end` is called with what it would be refused for now; `drain` when the process ends."""
        ...
