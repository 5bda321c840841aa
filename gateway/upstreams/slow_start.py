"""Endpoints that are new, or came back, take their share bit by bit (Envoy's slow start).

Rule: of what the balancer would give such an endpoint it takes a part that grows with its age, as exactly as whole
requests allow; the rest goes to whom the balancer names next. The clock is read only when such a one is named.
Invariant: who is warm loses nothing to who is not, and among endpoints that are all as new nothing changes.
"""

from collections.abc import Callable, Mapping

from gateway.upstreams.balancer import Balancer
from gateway.upstreams.settings import SlowStartSettings

_WHOLE = 1 - 1e-9  # ten tenths of a request are one


class SlowStart:
    """A balancer around another, as long as some of the endpoints are new."""

    def __init__(
        self,
        balance: Balancer,
        settings: SlowStartSettings,
        begun: Mapping[int, float],
        usable: int,
        clock: Callable[[], float],
    ) -> None:
        """`begun`: since when those of the `usable` endpoints that are new take requests, by their index."""
        self._balance = balance
        self._settings = settings
        self._begun = dict(begun)
        self._due = dict.fromkeys(begun, 0.0)  # the part of a request that each has not taken yet
        self._usable = usable
        self._clock = clock

    def __call__(self, key: int | None = None) -> int:
        """See gateway.upstreams.balancer."""
        while True:
            index = self._balance(key)
            if index not in self._begun or self._takes(index):
                return index

    def _takes(self, index: int) -> bool:
        now = self._clock()
        share = self._settings.share(now - self._begun[index])
        if share >= 1:
            del self._begun[index]
            return True
        if len(self._begun) >= self._usable:  # nobody is warm: the oldest takes all that is offered to it
            share /= self._settings.share(now - min(self._begun.values()))
        self._due[index] += share
        if self._due[index] < _WHOLE:
            return False
        self._due[index] -= 1
        return True
