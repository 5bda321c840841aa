"""Whose a connection to a backend is: a pool, a health check.

Rule: it is told of the end of each request and of each connection, and asks nothing of either.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.upstreams.connection import Connection


class Owner(Protocol):
    """What a connection tells its pool."""

    def put_back(self, connection: "Connection", now: float) -> None:
        """The answer is whole and the connection, unless its `kept_until` has passed, fit for another request."""
        ...

    def dropped(self, connection: "Connection") -> None:
        """The connection is closed, or about to be; told once."""
        ...
