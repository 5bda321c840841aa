"""Which endpoints take requests, of those that there are.

Rule: those that neither fail their health check nor are ejected; when these are less than half, all of them (panic:
few would only fall under the load of all, Envoy's healthy_panic_threshold), unless every one fails its health check.
Invariant: in the order of the endpoints, so that a change of one leaves the others' turns alone.
"""

from collections.abc import Collection, Hashable, Sequence
from typing import TypeVar

_PANIC_BELOW = 50  # percent
_Host = TypeVar("_Host", bound=Hashable)


def usable(hosts: Sequence[_Host], failing: Collection[_Host], ejected: Collection[_Host]) -> list[int]:
    """Their indexes; none when all fail their health check."""
    every = list(range(len(hosts)))
    if not failing and not ejected:
        return every
    good = [index for index in every if hosts[index] not in failing and hosts[index] not in ejected]
    if len(good) * 100 >= _PANIC_BELOW * len(hosts):
        return good
    return [] if all(host in failing for host in hosts) else every
