"""Endpoints that fail request after request are left out for a while (Envoy's outlier detection).

Rule: no I/O, no clock: `now` is passed in; each ejection in a row is longer by the base time, five minutes at most.
Invariant: never more than `max_ejected` percent of the endpoints are out at once.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.upstreams.settings import OutlierSettings

_LONGEST = 300.0  # seconds of an ejection, unless the base time is longer (Envoy's max_ejection_time)
_Host = TypeVar("_Host", bound=Hashable)


@dataclass(slots=True)
class _Record:
    errors: int = 0  # in a row
    ejections: int = 0  # in a row: a base time without one takes one away
    until: float = 0.0  # when the latest ejection ends or ended


class Outliers(Generic[_Host]):
    """Who of an upstream's endpoints is out."""

    def __init__(self, settings: OutlierSettings) -> None:
        self.ejected: set[_Host] = set()
        self._settings = settings
        self._records: dict[_Host, _Record] = {}

    def report(self, host: _Host, now: float, hosts: int, *, ok: bool) -> bool:
        """A request to `host`, one of `hosts`, ended. True when it is ejected for it."""
        if ok:
            record = self._records.get(host)
            if record is not None:
                record.errors = 0
            return False
        record = self._records.setdefault(host, _Record())
        record.errors += 1
        settings = self._settings
        if record.errors < settings.consecutive_errors or host in self.ejected:
            return False
        if (len(self.ejected) + 1) * 100 > settings.max_ejected * hosts:
            return False
        quiet = int((now - record.until) // settings.ejection) if record.ejections else 0
        record.ejections = max(0, record.ejections - quiet) + 1
        record.until = now + min(settings.ejection * record.ejections, max(_LONGEST, settings.ejection))
        record.errors = 0
        self.ejected.add(host)
        return True

    def restore(self, now: float) -> bool:
        """Take back whose time is over. True when there was one."""
        over = {host for host in self.ejected if self._records[host].until <= now}
        self.ejected -= over
        for host in over:
            self._records[host].errors = 0
        return bool(over)

    @property
    def next_return(self) -> float | None:
        """When the next one's time is over; None while nobody is out."""
        return min((self._records[host].until for host in self.ejected), default=None)

    def keep(self, hosts: Collection[_Host]) -> None:
        """Forget all but these."""
        kept = set(hosts)
        self.ejected &= kept
        self._records = {host: record for host, record in self._records.items() if host in kept}
