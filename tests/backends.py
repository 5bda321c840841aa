"""Backends for tests, and the way to them: a cluster to scripted upstreams over mTLS, and a forward stage on it."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.kernel.cells import Counter
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.principal import User, Workload
from gateway.model.refused import Refused
from gateway.stages.forward.claims import FieldValue
from gateway.stages.forward.fields import AnswerFields, RequestFields
from gateway.stages.forward.head import RequestHead
from gateway.stages.forward.hedged import HedgingProxy
from gateway.stages.forward.proxy import Proxy
from gateway.stages.forward.resilient import ResilientProxy
from gateway.stages.forward.rewrite import Rewrite
from gateway.stages.forward.stage import Forward
from gateway.stages.forward.streams import Streams
from gateway.stages.forward.trailers import RequestTrailers
from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from gateway.testing.upstream import Script, Upstream
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.endpoint import RESULTS
from gateway.upstreams.identity import TlsMaterial, UpstreamTls
from gateway.upstreams.settings import (
    BreakerSettings,
    ConnectionSettings,
    EndpointSettings,
    HealthSettings,
    OutlierSettings,
    RetrySettings,
    SlowStartSettings,
    TimeoutSettings,
    UpstreamSettings,
)
from tests.exchange import Recorder, context, head, permit

BACKEND_ID = "spiffe://cluster.local/ns/default/sa/inventory"
GATEWAY_ID = "spiffe://cluster.local/ns/default/sa/gateway"
MAX_BODY = 1 << 20


@dataclass
class Pki:
    """A trust domain on disk."""

    authority: Authority
    folder: Path

    def material(self, server_identity: str | None = BACKEND_ID, server_name: str | None = None) -> TlsMaterial:
        """TLS files for an upstream that proves the gateway."""
        files = self.authority.issue(uri=GATEWAY_ID).write(self.folder, "gateway")
        bundle = self.authority.write(self.folder, "bundle")
        return TlsMaterial(server_identity, server_name, bundle, None, files.certificate, files.key)

    def backend(
        self, script: "Script | None" = None, *, uri: str | None = BACKEND_ID, dns: Iterable[str] = ()
    ) -> Upstream:
        """A backend that asks for our certificate."""
        return Upstream(script, tls=server_context(self.authority.issue(uri=uri, dns=list(dns)), [self.authority]))


class Counts(dict[str, Counter]):
    """Results by name."""

    def __init__(self) -> None:
        super().__init__({result: Counter() for result in RESULTS})

    @property
    def seen(self) -> dict[str, int]:
        """Those that were counted."""
        return {result: int(counter.value) for result, counter in self.items() if counter.value}


@dataclass
class Opened:
    """A stream that was entered."""

    permit: Permit
    end: Callable[[Refused], None]
    left: bool = False

    def leave(self) -> None:
        self.left = True


class Watch(list[Opened]):
    """Every stream that was entered; it ends none by itself."""

    def enter(self, permit: Permit, end: Callable[[Refused], None], drain: Callable[[], None] | None = None) -> Opened:
        self.append(Opened(permit, end))
        return self[-1]


def cluster(
    *urls: str,
    tls: TlsMaterial | None = None,
    counts: Counts | None = None,
    connections: ConnectionSettings | None = None,
    timeouts: TimeoutSettings | None = None,
    balance: str = "round_robin",
    hash_key: str | None = None,
    retries: RetrySettings | None = None,
    health: HealthSettings | None = None,
    outlier: OutlierSettings | None = None,
    breaker: BreakerSettings | None = None,
    dns_refresh: float | None = None,
    slow_start: SlowStartSettings | None = None,
    name: str = "inventory",
) -> Cluster:
    """An upstream to these endpoints, `https://HOST:PORT` or http."""
    endpoints = []
    for url in urls:
        scheme, _, rest = url.partition("://")
        host, _, port = rest.rpartition(":")
        endpoints.append(EndpointSettings(url, host, int(port), scheme == "https"))
    settings = UpstreamSettings(
        name,
        tuple(endpoints),
        balance,
        connections or ConnectionSettings(),
        timeouts or TimeoutSettings(connect=2.0, response=5.0, idle=5.0),
        hash_key,
        retries,
        health,
        outlier,
        breaker,
        dns_refresh,
        slow_start,
    )
    counted = counts if counts is not None else Counts()
    made = UpstreamTls(tls, [e.host for e in endpoints if e.tls]) if tls is not None else None
    return Cluster(settings, made, lambda _: counted)


def forward(
    to: Cluster,
    *,
    fields: RequestFields | None = None,
    answer: AnswerFields | None = None,
    rewrite: Rewrite | None = None,
    constant: Iterable[tuple[bytes, bytes]] = (),
    claims: Iterable[tuple[bytes, FieldValue]] = (),
    timeout: float | None = None,
    max_body: int = MAX_BODY,
    streams: Streams | None = None,
    trailers: Iterable[bytes] = (),
) -> Forward:
    """A forward stage whose only route goes there."""
    behind = RequestTrailers(trailers)
    head = RequestHead(
        fields or RequestFields((), trailers=behind),
        via="gateway",
        own_id=GATEWAY_ID,
        rewrite=rewrite,
        constant=list(constant),
        claims=list(claims),
    )
    retries = to.settings.retries
    hedged = retries is not None and retries.hedge_after is not None
    kind = HedgingProxy if hedged else ResilientProxy if to.guarded else Proxy
    watch = Watch() if streams is None else streams
    limits = {"edge": max_body}
    answers = answer or AnswerFields()
    way = kind(to, head, answers, timeout=timeout, max_body=limits, streams=watch, trailers=behind)
    return Forward([way])


@asynccontextmanager
async def running(made: Cluster) -> AsyncIterator[Cluster]:
    """The cluster, broken off at the end."""
    try:
        yield made
    finally:
        made.abort()


def pki(folder: Path, trust_domain: str = "cluster.local") -> Pki:
    """A fresh trust domain, its files in the folder."""
    return Pki(Authority(trust_domain), folder)


async def send(
    stage: Forward,
    method: str = "GET",
    target: str = "/a",
    headers: Iterable[tuple[str, str]] = (),
    *,
    body: bytes | None = None,
    at_hand: bool = False,
    pieces: Iterable[bytes] | None = None,
    ours: Iterable[tuple[bytes, bytes]] = ((b"x-request-id", b"req-1"),),
    recorder: Recorder | None = None,
    prefix: str = "",
    user: User | None = None,
    workload: Workload | None = None,
) -> tuple[Outcome, Recorder]:
    """One request through the stage: what became of it, and what its client got. `pieces` are sent chunked.

    `at_hand`: the body came with the head.
    """
    request = head(method, target, headers, length=len(body) if body is not None else None, chunked=pieces is not None)
    exchange = recorder or Recorder(request)
    exchange.head, exchange.at_hand = request, at_hand
    if body is not None:
        exchange.give(*([body] if body else []), b"")
    if pieces is not None:
        exchange.give(*pieces, b"")
    allowed = permit(context(request), prefix=prefix, user=user, workload=workload)
    return await stage(allowed, exchange, list(ours)), exchange
