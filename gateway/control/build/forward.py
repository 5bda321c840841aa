"""Routes into the forward stage.

What any route sets is taken from clients on all routes, so the names are collected over the whole file first.
Where a field is named that is the gateway's own, building fails: two writers of one field are a hole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.config.schema import Config, Forward, HeaderEdit, Route
from gateway.control.build.accept import via_pseudonym
from gateway.control.build.upstreams import own_spiffe_id
from gateway.control.feeds.svid import Svid
from gateway.model.request import RawHeaders
from gateway.stages.forward.assertion import Assertion, Assertions, KeySource
from gateway.stages.forward.claims import FieldValue, compile_value, literal_or_claim
from gateway.stages.forward.fields import AnswerFields, RequestFields, judge_set
from gateway.stages.forward.head import RequestHead
from gateway.stages.forward.hedged import HedgingProxy
from gateway.stages.forward.local import redirect, respond
from gateway.stages.forward.mirror import Mirror
from gateway.stages.forward.proxy import Proxy
from gateway.stages.forward.resilient import ResilientProxy
from gateway.stages.forward.rewrite import Rewrite
from gateway.stages.forward.split import Split
from gateway.stages.forward.stage import Forward as ForwardStage
from gateway.stages.forward.stage import Way
from gateway.stages.forward.streams import Streams
from gateway.stages.forward.token_exchange import ExchangedHead, Exchanger, Exchanging
from gateway.stages.forward.trailers import RequestTrailers
from gateway.stages.forward.tunnel import TunnelProxy, Upgrading
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.hash_key import HashKey, hash_key

_COPY = 15.0  # seconds that a mirrored request may take
_NONE: Mapping[str, Exchanger] = {}
_SUBPROTOCOL = "sec-websocket-protocol"  # a token may stand in it: the tunnel writes its own


def build_forward(
    config: Config,
    clusters: Mapping[str, Cluster],
    streams: Streams,
    own: Mapping[str, Way] | None = None,
    keys: KeySource | None = None,
    svid: Svid | None = None,
    exchangers: Mapping[str, Exchanger] = _NONE,
) -> ForwardStage:
    """The forward stage of `config`; `clusters` by the upstream's name. Raises ValueError with the route's place.

    `streams`: where answers that stay open are entered; it outlives the config. `own`: who answers at the gateway's own
    addresses, by path. `keys`: of assertions, where the config has them. `svid`: of the gateway, where the Workload API
    gave one. `exchangers`: of tokens, by the upstream's name.
    """
    own_id = own_spiffe_id(config, svid)
    issuer = config.assertion.issuer if config.assertion is not None else None
    assertions = Assertions(keys, lambda: issuer or own_id) if keys is not None else None
    shared = _Shared(_reserved(config), via_pseudonym(config), own_id, streams, {}, {}, {}, {}, assertions, exchangers)
    return ForwardStage([_way(config, route, clusters, shared) for route in config.routes], own)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What every route's heads are written with."""

    reserved: frozenset[bytes]  # what some route sets
    via: str
    own_id: str | None
    streams: Streams
    fields: dict[tuple[object, ...], RequestFields]  # routes that let the same pass share one
    answers: dict[tuple[object, ...], AnswerFields]  # likewise
    heads: dict[tuple[object, ...], RequestHead]  # likewise: of thousands of routes few differ here
    proxies: dict[tuple[object, ...], Proxy]  # likewise
    assertions: Assertions | None
    exchangers: Mapping[str, Exchanger]

    def exchanging(self, upstream: str, way: Way) -> Way:
        """A way to an upstream, which may want tokens of its own."""
        exchanger = self.exchangers.get(upstream)
        return way if exchanger is None else Exchanging(way, exchanger)

    def passing(self, route: Route, removed: tuple[str, ...]) -> RequestFields:
        """What of a client's fields passes on a route. `removed`: besides those that the file removes."""
        keep_authorization = route.forward.authorization == "keep"
        keep, remove = _names(route.forward.keep), _names((*route.request_headers.remove, *removed))
        trailers = () if removed else tuple(_names(route.forward.trailers))  # nothing trails behind a handshake
        key = (keep_authorization, *keep, None, *remove, None, *trailers)
        made = self.fields.get(key)
        if made is None:
            made = self.fields[key] = RequestFields(
                self.reserved,
                keep_authorization=keep_authorization,
                keep=keep,
                remove=remove,
                trailers=None if removed else RequestTrailers(trailers),
            )
        return made

    def answering(self, route: Route) -> AnswerFields:
        """What of a backend's fields reaches the client on a route."""
        removed, written = _names(route.response_headers.remove), _pairs(route.response_headers.set)
        return self.answers.setdefault((*removed, None, *written), AnswerFields(removed, written))


def _way(config: Config, route: Route, clusters: Mapping[str, Cluster], shared: _Shared) -> Way:
    try:
        if route.redirect is not None:
            return redirect(route.redirect.to, route.redirect.status, _pairs(route.response_headers.set))
        if route.respond is not None:
            return respond(route.respond.status, route.respond.body, _pairs(route.response_headers.set))
        return _proxy(config, route, clusters, shared)
    except ValueError as error:
        raise ValueError(f"{route.where}: route {route.name}: {error}") from None


def _proxy(config: Config, route: Route, clusters: Mapping[str, Cluster], shared: _Shared) -> Way:
    if route.upstream is None:
        raise ValueError("it has neither upstream nor respond nor redirect")
    head = _heads(route, shared, ())
    answer = shared.answering(route)
    limits = {
        name: route.max_body if route.max_body is not None else listener.limits.body
        for name, listener in config.listeners.items()
    }

    def to(name: str) -> Way:
        cluster, writes, trailers = clusters[name], head(name), tuple(_names(route.forward.trailers))
        key = (name, id(writes), id(answer), route.timeout, *limits.values(), *trailers)  # the way keeps both alive
        way = shared.proxies.get(key)
        if way is None:
            way = shared.proxies[key] = _kind(cluster)(
                cluster,
                writes,
                answer,
                timeout=route.timeout,
                max_body=limits,
                streams=shared.streams,
                trailers=RequestTrailers(trailers) if trailers else None,
            )
        return shared.exchanging(name, way)

    way = _spread(route, clusters, to)
    if route.mirror is not None:
        name, timeout = route.mirror.upstream, min(route.timeout or _COPY, _COPY)
        copies = Proxy(clusters[name], head(name), answer, timeout=timeout, max_body=limits, streams=shared.streams)
        way = Mirror(way, shared.exchanging(name, copies), route.mirror.percent.value)
    websocket = route.websocket
    if websocket is None:
        return way
    asking = _heads(route, shared, (_SUBPROTOCOL,))

    def through(name: str) -> Way:
        marker = websocket.token_subprotocol
        way = TunnelProxy(
            clusters[name], asking(name), answer, max_body=limits, streams=shared.streams, token_subprotocol=marker
        )
        return shared.exchanging(name, way)

    return Upgrading(way, _spread(route, clusters, through))


def _kind(cluster: Cluster) -> type[Proxy]:
    retries = cluster.settings.retries
    if retries is not None and retries.hedge_after is not None:
        return HedgingProxy
    return ResilientProxy if cluster.guarded else Proxy


def _heads(route: Route, shared: _Shared, removed: tuple[str, ...]) -> Callable[[str], RequestHead]:
    """What writes the heads of one route, by upstream. `removed`: fields besides those that the file removes."""
    constant, claims = _set_by(route.forward, route.request_headers)
    rewrite = route.rewrite
    changed = Rewrite(prefix=rewrite.prefix, path=rewrite.path, host=rewrite.host) if rewrite is not None else None

    def of(upstream: str) -> RequestHead:
        passing, assertion = shared.passing(route, removed), _assertion(route, upstream, shared)
        key = (upstream, id(passing), rewrite and (rewrite.prefix, rewrite.path, rewrite.host), *constant)
        alike = not claims and assertion is None
        made = shared.heads.get(key) if alike else None
        if made is None:
            kind = ExchangedHead if upstream in shared.exchangers else RequestHead
            made = kind(
                passing,
                via=shared.via,
                own_id=shared.own_id,
                rewrite=changed,
                constant=constant,
                claims=claims,
                assertion=assertion,
            )
            if alike:
                shared.heads[key] = made
        return made

    return of


def _spread(route: Route, clusters: Mapping[str, Cluster], to: Callable[[str], Way]) -> Way:
    """The way to one upstream, or to several by their weights."""
    upstreams = route.upstream or ()
    parts = [(to(part.upstream), part.weight) for part in upstreams]
    return (
        parts[0][0] if len(parts) == 1 else Split(parts, _common_key([clusters[part.upstream] for part in upstreams]))
    )


def _assertion(route: Route, upstream: str, shared: _Shared) -> Assertion | None:
    """What tells the backend who calls; on a public route it could be nobody, so nothing is told."""
    asked = route.forward.assertion
    if shared.assertions is None or route.public or not asked.enabled:
        return None
    return Assertion(shared.assertions, upstream, asked.claims)


def _common_key(clusters: Sequence[Cluster]) -> HashKey | None:
    """What all of them hash by."""
    keys = {cluster.settings.hash_key for cluster in clusters}
    key = keys.pop()
    return None if keys or key is None else hash_key(key)


def _set_by(forward: Forward, edit: HeaderEdit) -> tuple[RawHeaders, list[tuple[bytes, FieldValue]]]:
    """The fields that a route sets: those that are the same for everybody, and those that come from claims."""
    constant = _pairs(edit.set)
    claims: list[tuple[bytes, FieldValue]] = []
    for name, text in forward.headers.items():
        value = literal_or_claim(text)
        if isinstance(value, str):
            constant.append((name.lower().encode("ascii"), value.encode("ascii")))
        else:
            claims.append((name.lower().encode("ascii"), compile_value(value)))
    fields = [name for name, _ in constant] + [name for name, _ in claims]
    for field in fields:
        judge_set(field)
        if fields.count(field) > 1:
            raise ValueError(f"{field.decode()} is set twice")
    return constant, claims


def _reserved(config: Config) -> frozenset[bytes]:
    return frozenset(
        name.lower().encode("ascii")
        for route in config.routes
        for name in (*route.forward.headers, *route.request_headers.set)
    )


def _pairs(fields: Mapping[str, str]) -> RawHeaders:
    return [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in fields.items()]


def _names(names: tuple[str, ...]) -> list[bytes]:
    return [name.lower().encode("ascii") for name in names]
