"""Routes as one virtual host in file order: what they match, what they do, what they add and remove.

A path pattern is a route of Envoy's own, for the first match in file order decides in both.
Source: Envoy v3 API, config.route.v3.
"""

import re
from urllib.parse import urlsplit

from gateway.config.schema import Config, Listener, Retries, Rewrite, Route, Upstream
from gateway.convert.envoy.limits import Limits
from gateway.convert.envoy.protos import (
    CLAIMS,
    Message,
    extension,
    field_of,
    header,
    path_match,
    regex,
    seconds,
    set_fields,
    string_match,
    typed,
)
from gateway.convert.envoy.rules import Rules
from gateway.convert.envoy.tokens import Tokens
from gateway.convert.report import Report
from gateway.kernel.patterns.hosts import parse_route_host
from gateway.kernel.patterns.templates import is_template
from gateway.kernel.patterns.values import Kind, parse_value
from gateway.stages.forward.claims import literal_or_claim

_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
# What could tell a backend another caller, path or method than was judged (contract section 6).
_NEVER_FORWARDED = (
    "forwarded", "x-real-ip", "client-cert", "client-cert-chain", "x-auth-request-user", "x-auth-request-email",
    "x-ssl-client-cert", "x-ssl-client-verify", "x-gateway-assertion", "x-original-url", "x-rewrite-url",
    "x-original-method", "x-http-method", "x-http-method-override", "x-method-override",
)  # fmt: skip


class Routes:
    """Writes the route configuration of a listener."""

    def __init__(self, config: Config, rules: Rules, tokens: Tokens, limits: Limits, report: Report) -> None:
        self._config = config
        self._rules = rules
        self._tokens = tokens
        self._limits = limits
        self._report = report

    def configuration(self, listener: Listener) -> Message:
        """The RouteConfiguration."""
        routes: list[Message] = []
        for route in self._config.routes:
            if route.match.listeners and listener.name not in route.match.listeners:
                continue
            filters = self._per_route(route, listener)
            routes += [self._route(route, pattern, filters) for pattern in route.match.paths]
        set_by_some = {name.lower() for route in self._config.routes for name in route.forward.headers}
        kept = {name.lower() for route in self._config.routes for name in route.forward.keep}
        host: Message = {
            "name": listener.name,
            "domains": ["*"],
            "routes": routes,
            "request_headers_to_remove": sorted((set_by_some | set(_NEVER_FORWARDED)) - kept),
        }
        return {"name": listener.name, "virtual_hosts": [host]}

    def _per_route(self, route: Route, listener: Listener) -> dict[str, object]:
        filters = self._rules.per_route(route, listener.name) | self._tokens.per_route(route)
        filters |= self._limits.per_route(route)
        if route.cors is not None:
            cors = route.cors
            filters["envoy.filters.http.cors"] = typed(
                "extensions.filters.http.cors.v3.CorsPolicy",
                allow_origin_string_match=[
                    regex(".*") if origin == "*" else {"exact": origin} for origin in cors.origins
                ],
                allow_methods=", ".join(cors.methods),
                allow_headers=", ".join(cors.headers),
                expose_headers=", ".join(cors.expose),
                allow_credentials=cors.credentials,
                max_age=str(round(cors.max_age)),
                forward_not_matching_preflights=False,
            )
        return filters

    def _route(self, route: Route, pattern: str, filters: dict[str, object]) -> Message:
        message: Message = {"name": route.name, "match": _match(route, pattern), "typed_per_filter_config": filters}
        if route.respond is not None:
            message["direct_response"] = {"status": route.respond.status, "body": {"inline_string": route.respond.body}}
        elif route.redirect is not None:
            message["redirect"] = _redirect(route.redirect.to, route.redirect.status)
        else:
            message["route"] = self._action(route, pattern)
            self._fields(route, message)
        if route.response_headers.set:
            message["response_headers_to_add"] = set_fields(route.response_headers.set)
        if route.response_headers.remove:
            message["response_headers_to_remove"] = list(route.response_headers.remove)
        return message

    def _action(self, route: Route, pattern: str) -> Message:
        weighted = route.upstream or ()
        upstream = self._config.upstreams[weighted[0].upstream]  # whose timeouts and retries count for all of them
        action: Message = {"timeout": seconds(route.timeout or 0.0), "idle_timeout": seconds(upstream.timeouts.idle)}
        if len(weighted) == 1:
            action["cluster"] = upstream.name
        else:
            parts = [{"name": each.upstream, "weight": each.weight} for each in weighted]
            action["weighted_clusters"] = {"clusters": parts}
        if route.mirror is not None:
            share = {"numerator": round(route.mirror.percent.value * 10000), "denominator": "MILLION"}
            mirror: Message = {"cluster": route.mirror.upstream, "runtime_fraction": {"default_value": share}}
            action["request_mirror_policies"] = [mirror]
        if upstream.retries is not None:
            action["retry_policy"] = _retries(upstream.retries)
        if upstream.balance.policy == "consistent_hash":
            action["hash_policy"] = self._hash(upstream)
        if route.rewrite is not None:
            action |= _rewrite(route.rewrite, pattern)
        return action

    def _hash(self, upstream: Upstream) -> list[Message]:
        kind, _, name = (upstream.balance.key or "").partition(":")
        if kind == "header":
            return [{"header": {"header_name": name}}]
        if kind == "claim":
            path = f"upstreams.{upstream.name}.balance.key"
            self._report.lose(
                upstream.balance.where, "", path, "Envoy cannot hash by a claim: the client address is used"
            )
        return [{"connection_properties": {"source_ip": True}}]

    def _fields(self, route: Route, message: Message) -> None:
        adds = set_fields(route.request_headers.set)
        for name, text in route.forward.headers.items():
            value = literal_or_claim(text)
            if isinstance(value, str):
                adds += set_fields({name: value})
                continue
            claim = text.removeprefix("claims.").replace(".", ":")
            command = f"%DYNAMIC_METADATA({CLAIMS[0]}:{CLAIMS[1]}:{claim})%"
            adds.append({**field_of(name, command), "keep_empty_value": False})
        if adds:
            message["request_headers_to_add"] = adds
        removes = list(route.request_headers.remove)
        if route.forward.authorization == "remove":
            removes.append("authorization")
        if removes:
            message["request_headers_to_remove"] = removes


def _match(route: Route, pattern: str) -> Message:
    headers: list[Message] = []
    hosts = [_host(host) for host in route.match.hosts]
    if hosts and ".*" not in hosts:
        headers.append(header(":authority", regex(f"(?i)({'|'.join(hosts)})")))
    if route.match.methods and "*" not in route.match.methods:
        headers.append(header(":method", regex("|".join(map(re.escape, route.match.methods)))))
    headers += [header(name, string_match(value)) for name, value in route.match.headers.items()]
    match = _path(pattern)
    return {**match, "headers": headers} if headers else match


def _host(pattern: str) -> str:
    kind, text = parse_route_host(pattern)
    return {"any": ".*", "below": rf".+\.{re.escape(text)}", "exact": re.escape(text)}[kind]


def _path(pattern: str) -> Message:
    if is_template(pattern):
        return path_match(pattern)
    kind, literal = parse_value(pattern)
    if kind is Kind.PRESENT:
        return {"prefix": "/"}
    if kind is Kind.SUFFIX:
        return regex(f".*{re.escape(literal)}")
    return {"path" if kind is Kind.EXACT else "prefix": literal}


def _rewrite(rewrite: Rewrite, pattern: str) -> Message:
    action: Message = {}
    if rewrite.prefix is not None:
        action["prefix_rewrite"] = f"{rewrite.prefix.rstrip('/')}/"
        if not pattern.endswith("/*"):  # the loader refuses it
            raise ValueError(f"{pattern!r} has no prefix to replace")
    elif rewrite.path is not None:
        action["regex_rewrite"] = {"pattern": {"regex": ".*"}, "substitution": rewrite.path.replace("\\", "\\\\")}
    if rewrite.host is not None:
        action["host_rewrite_literal"] = rewrite.host
    return action


def _retries(retries: Retries) -> Message:
    """A RetryPolicy."""
    codes = [int(each) for each in retries.on if each.isdigit()]
    known = {"connect_failure": "connect-failure", "refused_stream": "refused-stream", "reset": "reset"}
    conditions = [known[each] for each in retries.on if each in known] + ["retriable-status-codes"] * bool(codes)
    policy: Message = {"retry_on": ",".join(conditions), "num_retries": retries.attempts}
    if codes:
        policy["retriable_status_codes"] = codes
    if retries.per_try is not None:
        policy["per_try_timeout"] = seconds(retries.per_try)
    return policy


def _redirect(to: str, status: int) -> Message:
    parts = urlsplit(to)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    action: Message = {"response_code": _CODES[status], "path_redirect": target or "/"}
    if parts.scheme:
        action["scheme_redirect"] = parts.scheme
        action["host_redirect"] = parts.hostname or ""
        if parts.port is not None:
            action["port_redirect"] = parts.port
    return action


def to_https(listener: Listener) -> Message:
    """The RouteConfiguration of a listener that only redirects."""
    action = {"https_redirect": True, "response_code": _CODES[308]}
    routes = [{"match": {"prefix": "/"}, "redirect": action}]
    host: Message = {"name": listener.name, "domains": ["*"], "routes": routes}
    return {"name": listener.name, "virtual_hosts": [host]}


def router() -> Message:
    """The last filter."""
    return extension("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")


def cors_filter() -> Message:
    """The filter that routes with `cors` configure."""
    return extension("envoy.filters.http.cors", "extensions.filters.http.cors.v3.Cors")
