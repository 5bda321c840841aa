"""Routes and rules against each other: what is never reached, and what is reached by a weaker way.

Only warnings: each such file is valid, and does not do what its reader thinks.
"""

from collections.abc import Sequence

from gateway.config.checks.cover import covers, host_covers, representative
from gateway.config.checks.report import Report
from gateway.config.schema import Config, Requires, Route
from gateway.model.methods import KNOWN_METHODS, NOT_IN_ANY
from gateway.stages.route.index import PathIndex

_ALL = KNOWN_METHODS - NOT_IN_ANY


def check(config: Config, report: Report) -> None:
    """Unreachable routes, and narrow routes above weaker wide ones. Needs sound patterns."""
    if not report.sound:
        return
    _unreachable(config.routes, report)
    _weaker(config.routes, report)


def _unreachable(routes: Sequence[Route], report: Report) -> None:
    above: PathIndex[int] = PathIndex()
    for index, route in enumerate(routes):
        by_pattern = [set(above.candidates(representative(pattern))) for pattern in route.match.paths]
        for earlier in sorted(set.intersection(*by_pattern)) if by_pattern else ():
            if _takes_all(routes[earlier], route):
                name = routes[earlier].name
                report.warn(
                    ("routes", index), f"the route {route.name} is never reached: {name} takes its requests first"
                )
                break
        _add(above, route, index)


def _weaker(routes: Sequence[Route], report: Report) -> None:
    below: PathIndex[int] = PathIndex()
    for index in range(len(routes) - 1, -1, -1):
        route = routes[index]
        if route.match.methods or route.match.headers:
            later = {found for pattern in route.match.paths for found in below.candidates(representative(pattern))}
            for position in sorted(later):
                if _lets_past(route, routes[position]) and _is_weaker(routes[position], route):
                    report.warn(
                        ("routes", index),
                        f"requests with other methods or headers than {route.name} asks for"
                        f" go to the route {routes[position].name}, which asks less",
                        "add a deny or the same demands there",
                    )
                    break
        _add(below, route, index)


def _add(index: PathIndex[int], route: Route, entry: int) -> None:
    for pattern in route.match.paths:
        index.add(pattern, entry)


def _methods(route: Route) -> frozenset[str]:
    methods = route.match.methods
    return _ALL if not methods or "*" in methods else frozenset(methods)


def _same_place(wide: Route, narrow: Route) -> bool:
    """True when listeners and hosts of `wide` include those of `narrow`."""
    listeners, hosts = wide.match.listeners, wide.match.hosts
    if listeners and not (narrow.match.listeners and set(narrow.match.listeners) <= set(listeners)):
        return False
    if not hosts:
        return True
    mine = narrow.match.hosts or ("*",)
    return all(any(host_covers(host, other) for host in hosts) for other in mine)


def _takes_all(wide: Route, narrow: Route) -> bool:
    return (
        _same_place(wide, narrow)
        and _methods(wide) >= _methods(narrow)
        and all(narrow.match.headers.get(name) == value for name, value in wide.match.headers.items())
        and all(any(covers(one, other) for one in wide.match.paths) for other in narrow.match.paths)
    )


def _lets_past(narrow: Route, wide: Route) -> bool:
    """True when a request to a path of `narrow` can go to `wide`, which stands below it."""
    return (
        _same_place(wide, narrow)
        and any(covers(one, other) for one in wide.match.paths for other in narrow.match.paths)
        and (bool(narrow.match.headers) or not _methods(wide) <= _methods(narrow))
    )


def _is_weaker(one: Route, other: Route) -> bool:
    """True when `one` asks less of a caller than `other`."""
    if one.public != other.public:
        return one.public
    asks, more = one.requires, other.requires
    if more is not None:
        if asks is None:
            asks = Requires()
        if not set(asks.scopes) >= set(more.scopes):
            return True
        if more.asked().keys() - asks.asked().keys():
            return True
    return _open(one) and not _open(other)


def _open(route: Route) -> bool:
    """True when some rule allows whoever has a credential."""
    return any(
        not rule.when
        and (not rule.from_ or any("*" in (*each.principals, *each.request_principals) for each in rule.from_))
        for rule in route.allow
        if rule.mode == "enforce"
    )
