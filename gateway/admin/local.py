"""One process answers for itself.

Control gives what it knows as plain functions; this module knows none of the parts behind them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.admin.source import AdminCall, Check, Reloaded
from gateway.kernel.cells import Metrics
from gateway.model.json import JSON


class Local:
    """The `AdminSource` of a single process.

    `checks` are asked at each /readyz and must be quick; `sections` are the members of /status; `reload` reads the file
    again, `drain` only begins; `record` writes an admin record.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        checks: Sequence[Callable[[], Sequence[Check]]],
        sections: Mapping[str, Callable[[], JSON]],
        reload: Callable[[], Awaitable[Reloaded]],
        drain: Callable[[], None],
        record: Callable[[AdminCall], None],
    ) -> None:
        self._metrics = metrics
        self._checks = checks
        self._sections = sections
        self._reload = reload
        self._drain = drain
        self._record = record

    async def readiness(self) -> list[Check]:
        return [check for ask in self._checks for check in ask()]

    async def metrics(self) -> Metrics:
        return self._metrics

    async def status(self) -> JSON:
        return {"workers": [{name: ask() for name, ask in self._sections.items()}]}

    async def reload(self) -> Reloaded:
        return await self._reload()

    async def drain(self) -> None:
        self._drain()

    async def record(self, call: AdminCall) -> None:
        self._record(call)
