"""What the admin address asks of the gateway, whoever answers: this process, or a supervisor for its workers.

Answers are plain data; asking never changes anything, `reload` and `drain` do.
"""

from dataclasses import dataclass
from typing import Protocol

from gateway.kernel.cells import Metrics
from gateway.model.json import JSON


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of being ready, or one dependency that is only told of."""

    name: str
    ok: bool
    needed: bool = True  # False: a dependency (a store, an issuer), which never makes the replica unready
    detail: str = ""  # for people; no address, no secret


@dataclass(frozen=True, slots=True)
class Reloaded:
    """How a reload went."""

    ok: bool
    digest: str  # of the config at work afterwards
    errors: tuple[str, ...] = ()  # `FILE:LINE:COLUMN: error: …`


@dataclass(frozen=True, slots=True)
class AdminCall:
    """One call of the guarded part, for the audit log."""

    action: str  # "status", "console", "reload" or "drain"
    status: int  # what was answered
    client: str  # the peer's address, or "unix"


class AdminSource(Protocol):
    """What is running."""

    async def readiness(self) -> list[Check]: ...

    async def metrics(self) -> Metrics:
        """The metrics as they stand; the caller only reads them."""
        ...

    async def status(self) -> JSON: ...

    async def reload(self) -> Reloaded: ...

    async def drain(self) -> None:
        """Begin to drain: unready from now on, then stop accepting, finish, exit. Returns at once."""
        ...

    async def record(self, call: AdminCall) -> None:
        """Write the call to the audit log."""
        ...
