"""Route: the first route of the file that matches, found without walking the file.

Hosts and paths choose candidates through an index; listener, method and headers are asked of the candidates alone.
What was found for a path, method, host and listener is remembered where no header field took part; what was found for
a head that comes again is kept with it.
A miss is a Route too, so that a flood of misses can be limited; TRACE and CONNECT are never routed.
"""

from collections.abc import Callable, Mapping, Sequence

from gateway.kernel.memo import Memo
from gateway.kernel.patterns.hosts import parse_route_host
from gateway.kernel.patterns.paths import compile_path
from gateway.kernel.patterns.values import Match, compile_values
from gateway.model.methods import KNOWN_METHODS, NOT_IN_ANY
from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.model.reason import Reason
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.stages.route.index import PathIndex

_NO_ROUTE = Route("none", -1, False, None, "", Reason.NO_ROUTE)
_OWN = Route("none", -1, True, None, "")
_ROUTABLE = KNOWN_METHODS - NOT_IN_ANY


@noun
class RouteSettings:
    """What a route asks of a request; what is empty asks nothing."""

    name: str
    public: bool
    where: Place | None
    listeners: frozenset[str]
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    methods: frozenset[str]
    headers: Mapping[str, str]  # value patterns by lower-case name


@noun
class OwnPaths:
    """The gateway's own addresses: the same on every host, before every route."""

    methods: Mapping[str, frozenset[str]]  # by path
    listeners: frozenset[str]  # where they are served
    elsewhere: frozenset[str]  # listeners on which nobody else may serve them either


_NO_PATHS = OwnPaths({}, frozenset(), frozenset())


@noun
class _Entry:
    """One path pattern of one route."""

    order: int  # of the file: routes, and patterns within a route
    route: Route
    listeners: frozenset[str]
    methods: frozenset[str]
    headers: Callable[[RequestContext], bool] | None


class Routes:
    """The stage."""

    def __init__(self, routes: Sequence[RouteSettings], own: OwnPaths = _NO_PATHS) -> None:
        """`routes` in file order: a route's place there is its index. Raises ValueError for a bad pattern."""
        self._hosts: dict[str, PathIndex[_Entry]] = {}
        self._below: dict[str, PathIndex[_Entry]] = {}
        self._anywhere: PathIndex[_Entry] = PathIndex()
        self._mark = object()  # stands with what is kept of this table, which may outlive it
        self._taken: Memo[tuple[str, str, str, str], Route] = Memo()  # what was asked lately, where no field decided it
        for path, own_methods in own.methods.items():
            for entry in _own(own, own_methods):
                self._anywhere.add(path, entry)
        routable: dict[frozenset[str], frozenset[str]] = {}  # what thousands of routes take is seldom anything else
        order = 0
        for index, settings in enumerate(routes):
            headers = _compile_headers(settings.headers) if settings.headers else None
            methods = routable.setdefault(settings.methods, (settings.methods or _ROUTABLE) - NOT_IN_ANY)
            for pattern in settings.paths or ("*",):
                compile_path(pattern)  # judged whole here: the index only takes it apart
                prefix = pattern[:-2] if pattern.endswith("/*") else ""
                route = Route(settings.name, index, settings.public, settings.where, prefix)
                entry = _Entry(order, route, settings.listeners, methods, headers)
                order += 1
                for table in self._tables(settings.hosts):
                    table.add(pattern, entry)

    def _tables(self, hosts: tuple[str, ...]) -> list[PathIndex[_Entry]]:
        if not hosts:
            return [self._anywhere]
        tables = []
        for host in hosts:
            kind, text = parse_route_host(host)
            if kind == "any":
                tables.append(self._anywhere)
            else:
                tables.append((self._hosts if kind == "exact" else self._below).setdefault(text, PathIndex()))
        return tables

    def __call__(self, ctx: RequestContext) -> Route:
        """The first route of the file that matches, or why none does. Never raises."""
        again = ctx.head.again
        if again is None:
            return self._find(ctx)
        routed = again.routed  # its listener is the same, and of what is asked only the path is not the head's alone
        if routed is None or routed[1] is not ctx.path or routed[0] is not self._mark:
            again.routed = routed = self._mark, ctx.path, self._find(ctx)
        return routed[2]

    def _find(self, ctx: RequestContext) -> Route:
        method = ctx.method if ctx.preflight is None else ctx.judged_method
        listener = ctx.connection.listener
        asked = ctx.path, method, ctx.host, listener
        taken = self._taken.get(asked)
        if taken is not None:
            return taken
        candidates = self._candidates(ctx.host, ctx.path)
        best: _Entry | None = None
        by_head = True  # so far no field of the request took part
        for entry in candidates:
            if (
                method in entry.methods
                and (best is None or entry.order < best.order)
                and (not entry.listeners or listener in entry.listeners)
            ):
                if entry.headers is not None:
                    by_head = False
                    if not entry.headers(ctx):
                        continue
                best = entry
        if best is not None:
            if by_head:
                self._taken.keep(asked, best.route, len(ctx.path) + len(ctx.host))
            return best.route
        return self._miss(ctx, candidates, listener)

    def _candidates(self, host: str, path: str) -> list[_Entry]:
        found = self._anywhere.candidates(path)
        table = self._hosts.get(host)
        if table is not None:
            found += table.candidates(path)
        if self._below:
            dot = host.find(".")
            while dot >= 0:
                below = self._below.get(host[dot + 1 :])
                if below is not None:
                    found += below.candidates(path)
                dot = host.find(".", dot + 1)
        return found

    def _miss(self, ctx: RequestContext, candidates: list[_Entry], listener: str) -> Route:
        allowed: set[str] = set()
        for entry in candidates:
            if (not entry.listeners or listener in entry.listeners) and (entry.headers is None or entry.headers(ctx)):
                allowed |= entry.methods
        if not allowed and ctx.judged_method not in NOT_IN_ANY:
            return _NO_ROUTE
        return Route("none", -1, False, None, "", Reason.METHOD_NOT_ALLOWED, tuple(sorted(allowed)))


def _own(own: OwnPaths, methods: frozenset[str]) -> list[_Entry]:
    """What becomes of requests to one own address, whatever the file's routes say of it."""
    refused = Route("none", -1, False, None, "", Reason.METHOD_NOT_ALLOWED, tuple(sorted(methods)))
    found = [
        _Entry(-1, _OWN, own.listeners, methods, None),
        _Entry(-1, refused, own.listeners, _ROUTABLE - methods, None),
    ]
    return [*found, _Entry(-1, _NO_ROUTE, own.elsewhere, _ROUTABLE, None)] if own.elsewhere else found


def _compile_headers(headers: Mapping[str, str]) -> Callable[[RequestContext], bool]:
    """True when each field is there and all its values match: one repeated to mislead matches nothing (H17)."""
    wanted: list[tuple[str, Match]] = [(name.lower(), compile_values([pattern])) for name, pattern in headers.items()]

    def match(ctx: RequestContext) -> bool:
        for name, fits in wanted:
            values = ctx.values.get(name)
            if values is None or not all(map(fits, values)):
                return False
        return True

    return match
