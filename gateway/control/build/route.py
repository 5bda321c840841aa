"""`routes[].match` of the config into the route stage."""

from gateway.config.schema import Config, Route
from gateway.control.build.own import own_paths
from gateway.model.methods import KNOWN_METHODS
from gateway.stages.route import Routes, RouteSettings


def build_routes(config: Config) -> Routes:
    """The route stage of `config`; a route's index is its place in the file."""
    return Routes([_settings(route) for route in config.routes], own_paths(config))


def _settings(route: Route) -> RouteSettings:
    match = route.match
    return RouteSettings(
        route.name,
        route.public,
        route.where,
        frozenset(match.listeners),
        match.hosts,
        match.paths,
        KNOWN_METHODS if "*" in match.methods else frozenset(match.methods),
        match.headers,
    )
