"""Facts in a file of all devices, which a feed reads and watches."""

from collections.abc import Mapping
from typing import Protocol

from gateway.model.json import Claims
from gateway.model.principal import Principal
from gateway.stages.posture.source import Known, known


class Table(Protocol):
    """What is published of the file."""

    @property
    def devices(self) -> Mapping[str, Claims]:
        """Facts by device."""
        ...

    @property
    def written(self) -> float:
        """When the file was written: seconds since the epoch."""
        ...


class FileSource:
    """A table of devices."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def __call__(self, device: str, principal: Principal, now: float) -> Known | None:
        """What the file says, as of when it says it, else of when it was written."""
        facts = self._table.devices.get(device)
        return None if facts is None else known(facts, self._table.written)
