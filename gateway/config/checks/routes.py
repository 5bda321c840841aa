"""Routes: what they match, and what they do with a request, part by part and together.

A pattern that can never match is an error, for a rule or route that never fires is an open door.
"""

from urllib.parse import urlsplit

from gateway.config.checks.fields import judge_field_name, judge_field_value, judge_settable
from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_url
from gateway.config.schema import Config, Cors, Forward, HeaderEdit, Match, Requires, Route
from gateway.config.tree import Path
from gateway.kernel.patterns.hosts import parse_authority, parse_route_host
from gateway.kernel.patterns.paths import compile_path
from gateway.kernel.patterns.values import compile_values

_RESERVED = "/.well-known/gateway/"
_ACTIONS = ("upstream", "respond", "redirect")


def check(config: Config, report: Report) -> None:
    """Every route."""
    _unset_trailers(config, report)
    for index, route in enumerate(config.routes):
        path: Path = ("routes", index)
        if route.name == "none":
            report.error((*path, "name"), "'none' stands for requests that no route takes", "choose another name")
        _match(report, (*path, "match"), route.match)
        _action(report, path, route)
        _access(report, path, route)
        _rewrite(report, path, route)
        _spread(report, path, route)
        _websocket(report, path, route)
        if route.cors is not None:
            _cors(report, (*path, "cors"), route.cors)
        _forward(report, (*path, "forward"), route.forward)
        for key in ("request_headers", "response_headers"):
            _edit(report, (*path, key), getattr(route, key))
        if route.forward.headers or route.request_headers.set:
            _set_for_backends(report, path, route)


def _match(report: Report, path: Path, match: Match) -> None:
    report.each((*path, "hosts"), match.hosts, parse_route_host)
    for index, pattern in enumerate(match.paths):
        if report.one((*path, "paths", index), pattern, compile_path) and pattern.startswith(_RESERVED):
            report.error((*path, "paths", index), f"{_RESERVED} belongs to the gateway")
    for name, pattern in match.headers.items():
        report.one((*path, "headers", name), name, judge_field_name)
        report.one((*path, "headers", name), pattern, lambda text: compile_values([text]))


def _action(report: Report, path: Path, route: Route) -> None:
    given = [key for key in _ACTIONS if getattr(route, key) is not None]
    if not given and not report.lost(route.where, *_ACTIONS):
        report.error(path, f"the route {route.name} does nothing", "write upstream, respond or redirect")
    for key in given[1:]:
        report.error_at_key((*path, key), f"{given[0]} stands beside {key}", "a route does one of both")
    if route.respond is not None and route.respond.status in (204, 304) and route.respond.body:
        report.error((*path, "respond", "body"), f"an answer {route.respond.status} has no body")
    if route.redirect is not None:
        report.one((*path, "redirect", "to"), route.redirect.to, _judge_target)


def _judge_target(text: str) -> None:
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError(f"{text!r} holds a character that no URL has: write it percent-encoded")
    parts = urlsplit(text)
    if text.startswith("//") or not (text.startswith("/") or (parts.scheme in ("http", "https") and parts.netloc)):
        raise ValueError(f"{text!r}: write a whole URL, or a path that begins with /")


def _access(report: Report, path: Path, route: Route) -> None:
    if route.requires is not None:
        requires = (*path, "requires")
        if route.public:
            report.error_at_key(requires, "a public route asks for no credential, so it can require nothing of one")
        judge_requires(report, requires, route.requires)
    if route.ignore_credentials and not route.public and not report.lost(route.where, "public"):
        report.error_at_key(
            (*path, "ignore_credentials"), "only a public route can ignore credentials", "add public: true"
        )


def judge_requires(report: Report, path: Path, requires: Requires) -> None:
    """What a route, or a class of data, requires."""
    report.each((*path, "scopes"), requires.scopes, _judge_scope)
    report.each((*path, "acr"), requires.acr, _judge_acr)


def _judge_scope(text: str) -> None:
    """RFC 6749 section 3.3."""
    if not _is_token(text):
        raise ValueError(f"{text!r} is no scope: write each as an entry of its own, without spaces and quotes")


def _judge_acr(text: str) -> None:
    """A challenge joins them by spaces (RFC 9470 section 3)."""
    if not _is_token(text):
        raise ValueError(f"{text!r} is no acr: write each as an entry of its own, without spaces and quotes")


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and not any(c in text for c in ' "\\')


def _rewrite(report: Report, path: Path, route: Route) -> None:
    rewrite, base = route.rewrite, (*path, "rewrite")
    if rewrite is None:
        return
    if route.upstream is None and not report.lost(route.where, *_ACTIONS):
        report.error_at_key(base, "only a request to an upstream is rewritten")
    if rewrite.prefix is not None and rewrite.path is not None:
        report.error_at_key((*base, "path"), "prefix stands beside path", "write one of both")
    for key, text in (("prefix", rewrite.prefix), ("path", rewrite.path)):
        if text is not None:
            report.one((*base, key), text, _judge_literal_path)
    if rewrite.prefix is not None:
        for pattern in route.match.paths:
            if not pattern.endswith("/*") or "{" in pattern:
                report.error(
                    (*base, "prefix"), f"{pattern!r} has no prefix to replace: each path of this route must be X/*"
                )
    if rewrite.host is not None:
        report.one((*base, "host"), rewrite.host, _judge_authority)


def _spread(report: Report, path: Path, route: Route) -> None:
    """Several upstreams, and a mirror."""
    seen: set[str] = set()
    for index, part in enumerate(route.upstream or ()):
        if part.upstream in seen:
            report.error(
                (*path, "upstream", index, "upstream"), f"{part.upstream!r} stands twice", "add up the weights"
            )
        seen.add(part.upstream)
    if route.upstream is not None and not any(part.weight for part in route.upstream):
        report.error((*path, "upstream"), "every weight is 0: no request would go anywhere")
    if route.mirror is not None and route.upstream is None and not report.lost(route.where, *_ACTIONS):
        report.error_at_key((*path, "mirror"), "only requests to an upstream are mirrored")


def _judge_authority(text: str) -> None:
    try:
        parse_authority(text)
    except ValueError:
        raise ValueError(f"{text!r} is no host: write a name, and a port if it has one") from None


def _judge_literal_path(text: str) -> None:
    if "*" in text or "{" in text:
        raise ValueError(f"{text!r} is a pattern: write the path itself")
    compile_path(text)


def _websocket(report: Report, path: Path, route: Route) -> None:
    websocket, base = route.websocket, (*path, "websocket")
    if websocket is None:
        return
    if route.upstream is None and not report.lost(route.where, *_ACTIONS):
        report.error_at_key(base, "only an upstream takes WebSockets")
    for index, origin in enumerate(websocket.origins):
        if origin != "*":
            report.one((*base, "origins", index), origin, _judge_origin)
    if websocket.token_subprotocol is not None:
        report.one((*base, "token_subprotocol"), websocket.token_subprotocol, judge_field_name)


def _cors(report: Report, path: Path, cors: Cors) -> None:
    for index, origin in enumerate(cors.origins):
        if origin == "*":
            if cors.credentials:
                report.error(
                    (*path, "origins", index), 'origins "*" with credentials lets every page act for its visitor'
                )
        else:
            report.one((*path, "origins", index), origin, _judge_origin)
    report.each((*path, "headers"), cors.headers, _judge_field_name_or_star)
    report.each((*path, "expose"), cors.expose, _judge_field_name_or_star)


def _judge_field_name_or_star(name: str) -> None:
    if name != "*":
        judge_field_name(name)


def _judge_origin(text: str) -> None:
    """An origin as browsers write it (RFC 6454 section 6.2): it is compared byte by byte."""
    if text == "null" or "*" in text:
        raise ValueError(f"{text!r} is no origin to trust: write each, like https://app.example.com")
    judge_url(text, path=False)
    default = {"https": ":443", "http": ":80"}[text.partition(":")[0]]
    if text != text.lower() or text.endswith(default):
        raise ValueError(f"browsers write this origin {text.lower().removesuffix(default)!r}")


def _forward(report: Report, path: Path, forward: Forward) -> None:
    if not forward.headers and not forward.keep and not forward.trailers:
        return
    from gateway.stages.forward.claims import literal_or_claim
    from gateway.stages.forward.fields import OVERRIDES

    for name, value in forward.headers.items():
        report.one((*path, "headers", name), name, judge_settable)
        report.one((*path, "headers", name), value, literal_or_claim)
    for index, name in enumerate(forward.keep):
        if name.lower().encode() not in OVERRIDES:
            kept = ", ".join(sorted(each.decode() for each in OVERRIDES))
            report.error((*path, "keep", index), f"{name!r} is not removed, or never let through", f"one of {kept}")
    report.each((*path, "trailers"), forward.trailers, _judge_trailer)


def _unset_trailers(config: Config, report: Report) -> None:
    """What some route sets, clients say on none: not behind their bodies either (H14)."""
    if not any(route.forward.trailers for route in config.routes):
        return
    from gateway.stages.forward.fields import fold

    reserved = {
        fold(name.lower().encode("utf-8"))
        for route in config.routes
        for name in (*route.forward.headers, *route.request_headers.set)
    }
    for index, route in enumerate(config.routes):
        for place, name in enumerate(route.forward.trailers):
            if fold(name.lower().encode("utf-8")) in reserved:
                path = ("routes", index, "forward", "trailers", place)
                report.error(path, f"{name} is set by a route of this file", "what the gateway says no client may say")


def _set_for_backends(report: Report, path: Path, route: Route) -> None:
    """No field that the gateway makes itself, and none twice: a backend may take `x_user` for `x-user` (H15)."""
    from gateway.stages.forward.fields import fold

    seen: set[bytes] = set()
    for base, names in (
        (("request_headers", "set"), route.request_headers.set),
        (("forward", "headers"), route.forward.headers),
    ):
        for name in names:
            field = name.lower().encode("utf-8")
            report.one((*path, *base, name), name, _judge_set_for_backends)
            if fold(field) in seen:
                report.error_at_key(
                    (*path, *base, name), f"{name} is set twice", "to a backend - and _ are often the same"
                )
            seen.add(fold(field))


def _judge_set_for_backends(name: str) -> None:
    from gateway.stages.forward.fields import judge_set

    try:
        judge_set(name.lower().encode("utf-8"))
    except ValueError:
        raise ValueError(f"the gateway sets {name} itself") from None  # as it is written


def _judge_trailer(name: str) -> None:
    from gateway.stages.forward.trailers import judge_trailer

    judge_field_name(name)
    judge_trailer(name.lower().encode("ascii"))


def _edit(report: Report, path: Path, edit: HeaderEdit) -> None:
    for name, value in edit.set.items():
        report.one((*path, "set", name), name, judge_settable)
        report.one((*path, "set", name), value, judge_field_value)
    report.each((*path, "remove"), edit.remove, judge_settable)
