"""An upstream at work: its endpoints, its balancer, its TLS.

Rule: it lives over a reload when its settings are equal; new certificates rotate it, new settings make a new one.
Invariant: what was retired ends with its last request; no request is dropped for a reload.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from gateway.kernel.cells import Counter
from gateway.model.connection import IPAddress
from gateway.model.json import JSON
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.addresses import AddressWatch
from gateway.upstreams.balancer import Balancer
from gateway.upstreams.balancers import BALANCERS
from gateway.upstreams.dialer import Dialer
from gateway.upstreams.endpoint import Endpoint
from gateway.upstreams.hash_key import hash_key
from gateway.upstreams.health import HealthChecker
from gateway.upstreams.identity import UpstreamTls, is_address
from gateway.upstreams.load import Load
from gateway.upstreams.outlier import Outliers
from gateway.upstreams.settings import EndpointSettings, HealthSettings, UpstreamSettings
from gateway.upstreams.slow_start import SlowStart
from gateway.upstreams.usable import usable

log = logging.getLogger(__name__)

ResultCounters = Callable[[str], Mapping[str, Counter]]  # an endpoint's URL to a counter for each of its results


class Cluster:
    """One upstream of the config."""

    def __init__(
        self,
        settings: UpstreamSettings,
        tls: UpstreamTls | None,
        counters: ResultCounters,
        *,
        repeats: Mapping[str, Counter] | None = None,
        known: Collection[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tls` is None when every endpoint is plain http. Raises ValueError for a `hash_key` that is none.

        `repeats`: counters of what is sent again, by kind (`retry`, `hedge`).
        `known`: URLs of endpoints that took requests before this cluster was made; None: as all of its own did.
        """
        self.settings = settings
        self.name = settings.name
        self.tls = tls
        self.response_timeout = settings.timeouts.response
        self.idle_timeout = settings.timeouts.idle
        self.first_timeout = min(self.response_timeout, self.idle_timeout)  # until something of an answer comes
        self.load = Load(settings.breaker, settings.retries.budget if settings.retries is not None else 0)
        self.failing: set[Endpoint] = set()  # their health check
        self._outliers: Outliers[Endpoint] | None = Outliers(settings.outlier) if settings.outlier else None
        self._counters = counters
        self._repeats = repeats or {}
        self._key = hash_key(settings.hash_key) if settings.hash_key is not None else None
        self._checkers: dict[Endpoint, HealthChecker] = {}
        self._watches: list[AddressWatch] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running = False
        self._clock = clock
        self._groups = [[self._endpoint(endpoint)] for endpoint in settings.endpoints]  # one each, or one an address
        self._begun: dict[Endpoint, float] = {}  # since when those that are new, or came back, take requests
        if known is not None:
            self._begin(endpoint for (endpoint,) in self._groups if endpoint.url not in known)
        self._arrange()

    @property
    def guarded(self) -> bool:
        """Whether its requests may be refused by its breaker, are told to its outlier detection, or sent again."""
        settings = self.settings
        return any(one is not None for one in (settings.retries, settings.outlier, settings.breaker))

    def pick(self, permit: Permit | None = None) -> Endpoint:
        """The endpoint that takes the next request. Raises Refused(UPSTREAM_UNAVAILABLE)."""
        only = self.only
        if only is not None:
            return only
        if self._key is None or permit is None:
            return self.endpoints[self._balance()]
        return self.endpoints[self._balance(self._key(permit))]

    def pick_other(self, permit: Permit, tried: Collection[Endpoint]) -> Endpoint:
        """One that was not tried, the least busy; where all were, any. Raises Refused(UPSTREAM_UNAVAILABLE)."""
        others = [self.endpoints[index] for index in self._usable if self.endpoints[index] not in tried]
        return min(others, key=lambda endpoint: endpoint.load / endpoint.weight) if others else self.pick(permit)

    def report(self, endpoint: Endpoint, *, ok: bool) -> None:
        """A request ended: `ok` is anything but a 5xx or none."""
        outliers = self._outliers
        if outliers is not None:
            now = asyncio.get_running_loop().time()
            if outliers.report(endpoint, now, len(self.endpoints), ok=ok):
                log.warning("upstream %s: %s is ejected", self.name, endpoint.name)
                self._rearrange()

    def repeated(self, kind: str) -> None:
        """A request is sent once more: a `retry`, or a `hedge` beside the try that is at work."""
        counter = self._repeats.get(kind)
        if counter is not None:
            counter.inc()

    def ejected(self, url: str) -> bool:
        """Whether the endpoint with this URL, or one of its addresses, is ejected."""
        return self._outliers is not None and any(endpoint.url == url for endpoint in self._outliers.ejected)

    def healthy(self, url: str) -> bool:
        """Whether no address of the endpoint with this URL fails its health check."""
        return all(endpoint.url != url for endpoint in self.failing)

    def start(self) -> None:
        """Begin what runs beside requests: health checks, look-ups. More than once is once."""
        if self._running:
            return
        self._running = True
        refresh = self.settings.dns_refresh
        if refresh is not None:
            self._watches = [
                AddressWatch(endpoint, refresh, lambda found, index=index: self._found(index, found))  # type: ignore[misc]
                for index, endpoint in enumerate(self.settings.endpoints)
                if not is_address(endpoint.host)
            ]
        for watch in self._watches:
            watch.start()
        self._check_all()

    def rotate(self, tls: UpstreamTls) -> None:
        """Use other certificates from the next connection on."""
        self.tls = tls
        for group, settings in zip(self._groups, self.settings.endpoints, strict=True):
            for endpoint in group:
                endpoint.rotate(tls if settings.tls else None)

    def retire(self) -> None:
        """The config has it no longer: close what is idle, let what is at work finish."""
        self._stop()
        for endpoint in self.endpoints:
            endpoint.retire()

    def abort(self) -> None:
        """The process ends: break off everything."""
        self._stop()
        for endpoint in self.endpoints:
            endpoint.abort()

    def connections(self, state: str) -> int:
        """How many are `active`, `idle` or `connecting`; or, requests, `waiting`."""
        return sum(int(getattr(endpoint, state)) for endpoint in self.endpoints)

    def _endpoint(self, settings: EndpointSettings) -> Endpoint:
        timeouts = self.settings.timeouts
        return Endpoint(
            settings,
            self.settings.connections,
            timeouts,
            Dialer(settings, timeouts.connect),
            self.tls if settings.tls else None,
            self._counters(settings.url),
        )

    def _arrange(self) -> None:
        """Settle among whom requests are spread: after each change of addresses, health or ejections."""
        self.endpoints = tuple(endpoint for group in self._groups for endpoint in group)
        ejected = self._outliers.ejected if self._outliers is not None else ()
        self._usable: Sequence[int] = usable(self.endpoints, self.failing, ejected)
        # the one that takes every request, where no choice is left: who forwards looks here before it asks `pick`
        self.only = self.endpoints[self._usable[0]] if len(self._usable) == 1 else None
        self._balance: Balancer = self._balancer() if self._usable else self._nobody

    def _balancer(self) -> Balancer:
        balance = BALANCERS[self.settings.balance](self.endpoints, self._usable)
        slow, now = self.settings.slow_start, self._clock()
        if slow is None:
            return balance
        self._begun = {endpoint: begun for endpoint, begun in self._begun.items() if now - begun < slow.window}
        begun = {index: at for index in self._usable if (at := self._begun.get(self.endpoints[index])) is not None}
        return SlowStart(balance, slow, begun, len(self._usable), self._clock) if begun else balance

    def _begin(self, endpoints: Iterable[Endpoint]) -> None:
        """They take requests from now on, and little at first."""
        if self.settings.slow_start is not None:
            self._begun |= dict.fromkeys(endpoints, self._clock())

    def _nobody(self, key: int | None = None) -> NoReturn:
        refused = Refused(Reason.UPSTREAM_UNAVAILABLE, "every endpoint fails its health check")
        refused.upstream = self.name
        raise refused

    def _rearrange(self) -> None:
        self._arrange()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._outliers.next_return if self._outliers is not None else None
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._restore, due)

    def _restore(self, due: float) -> None:
        if self._outliers is not None:
            out = set(self._outliers.ejected)
            self._outliers.restore(max(due, asyncio.get_running_loop().time()))
            self._begin(out - self._outliers.ejected)
            self._rearrange()

    def _found(self, index: int, addresses: Sequence[IPAddress]) -> None:
        """The name of the endpoint with this index has these addresses now."""
        settings = [replace(self.settings.endpoints[index], address=address) for address in addresses]
        before = {endpoint.name: endpoint for endpoint in self._groups[index]}
        made = [self._endpoint(each) for each in settings]
        if any(endpoint.settings.address is not None for endpoint in before.values()):
            self._begin(endpoint for endpoint in made if endpoint.name not in before)
        elif (named := self._groups[index][0]) in self._begun:
            self._begun |= dict.fromkeys(made, self._begun[named])  # its first look-up: it is as new as its name
        self._groups[index] = [before.pop(endpoint.name, endpoint) for endpoint in made]
        for endpoint in before.values():
            endpoint.retire()
            self._begun.pop(endpoint, None)
            self.failing.discard(endpoint)
            checker = self._checkers.pop(endpoint, None)
            if checker is not None:
                checker.stop()
        if self._outliers is not None:
            self._outliers.keep([endpoint for group in self._groups for endpoint in group])
        self._rearrange()
        self._check_all()

    def _check_all(self) -> None:
        """A health checker for each endpoint that has none."""
        health = self.settings.health
        if health is None:
            return
        for group in self._groups:
            for endpoint in group:
                if endpoint not in self._checkers:
                    checker = self._checkers[endpoint] = self._checker(endpoint, health)
                    checker.start()

    def _checker(self, endpoint: Endpoint, health: HealthSettings) -> HealthChecker:
        settings = endpoint.settings

        def judged(healthy: bool) -> None:
            if healthy:
                if endpoint in self.failing:
                    self._begin([endpoint])
                self.failing.discard(endpoint)
            else:
                self.failing.add(endpoint)
            log.warning("upstream %s: %s is %s", self.name, endpoint.name, "healthy" if healthy else "unhealthy")
            self._rearrange()

        dialer = Dialer(settings, self.settings.timeouts.connect)
        return HealthChecker(settings, health, dialer, lambda: self.tls if settings.tls else None, judged)

    def _stop(self) -> None:
        for watch in self._watches:
            watch.stop()
        for checker in self._checkers.values():
            checker.stop()
        if self._timer is not None:
            self._timer.cancel()

    def _share(self, endpoint: Endpoint) -> dict[str, JSON]:
        """With slow start: the part of its weight that it takes."""
        slow, begun = self.settings.slow_start, self._begun.get(endpoint)
        if slow is None:
            return {}
        return {"share": 1.0 if begun is None else round(slow.share(self._clock() - begun), 2)}

    def status(self) -> JSON:
        """What the admin address tells of it."""
        ejected = self._outliers.ejected if self._outliers is not None else ()
        return {
            "name": self.name,
            "endpoints": [
                {
                    "endpoint": endpoint.name,
                    "healthy": endpoint not in self.failing,
                    "ejected": endpoint in ejected,
                    **self._share(endpoint),
                    "active": endpoint.active,
                    "idle": endpoint.idle,
                    "connecting": endpoint.connecting,
                    "waiting": endpoint.waiting,
                }
                for endpoint in self.endpoints
            ],
        }
