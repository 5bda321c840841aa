"""An upstream at work: its endpoints, its balancer, its TLS.

Rule: it lives over a reload when its settings are equal; new certificates rotate it, new settings make a new one.
Invariant: what was retired ends with its last request; no request is dropped for a reload.
"""

from collections.abc import Callable, Mapping

from gateway.kernel.cells import Counter
from gateway.upstreams.balancer import Balancer
from gateway.upstreams.balancers import BALANCERS
from gateway.upstreams.dialer import Dialer
from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.identity import UpstreamTls
from gateway.upstreams.settings import UpstreamSettings

ResultCounters = Callable[[str], Mapping[str, Counter]]  # an endpoint's URL to a counter for each of its results


class Cluster:
    """One upstream of the config."""

    def __init__(self, settings: UpstreamSettings, tls: UpstreamTls | None, counters: ResultCounters) -> None:
        """`tls` is None when every endpoint is plain http."""
        self.settings = settings
        self.name = settings.name
        self.tls = tls
        self.response_timeout = settings.timeouts.response
        self.idle_timeout = settings.timeouts.idle
        self.endpoints = tuple(
            Endpoint(
                endpoint,
                settings.connections,
                settings.timeouts,
                Dialer(endpoint, settings.timeouts.connect),
                tls if endpoint.tls else None,
                counters(endpoint.url),
            )
            for endpoint in settings.endpoints
        )
        self._only = self.endpoints[0] if len(self.endpoints) == 1 else None
        self._balance: Balancer = BALANCERS[settings.balance](self.endpoints)

    def pick(self) -> Endpoint:
        """The endpoint that takes the next request."""
        return self._only if self._only is not None else self.endpoints[self._balance()]

    def rotate(self, tls: UpstreamTls) -> None:
        """Use other certificates from the next connection on."""
        self.tls = tls
        for endpoint, settings in zip(self.endpoints, self.settings.endpoints, strict=True):
            endpoint.rotate(tls if settings.tls else None)

    def retire(self) -> None:
        """The config has it no longer: close what is idle, let what is at work finish."""
        for endpoint in self.endpoints:
            endpoint.retire()

    def abort(self) -> None:
        """The process ends: break off everything."""
        for endpoint in self.endpoints:
            endpoint.abort()

    def connections(self, state: str) -> int:
        """How many are `active`, `idle` or `connecting`; or, requests, `waiting`."""
        return sum(int(getattr(endpoint, state)) for endpoint in self.endpoints)

    def __repr__(self) -> str:
        return f"Cluster({self.name}, [{', '.join(map(repr, self.endpoints))}])"
