"""Rate limits as local token buckets, a filter for each limit that some listener or route names.

What Envoy has no bucket for is said; a limit that cannot be counted by its key is left out.
Source: Envoy v3 API, extensions.filters.http.local_ratelimit.v3; config.route.v3 RateLimit.
"""

from itertools import product

from gateway.config.schema import Config, Listener, RateLimit, Route
from gateway.convert.envoy.protos import CLAIMS, Message, seconds, typed
from gateway.convert.report import Report

_LOCAL = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_MANY = {"max_tokens": 4294967295, "tokens_per_fill": 4294967295, "fill_interval": "1s"}


class Limits:
    """Writes the limits of a file."""

    def __init__(self, config: Config, report: Report) -> None:
        self._config = config
        self._report = report
        self._lost: set[str] = set()
        for limit in config.rate_limits.values():
            self._judge(limit)

    def filters(self, listener: Listener, *, by_caller: bool) -> list[Message]:
        """The filters before the authentication of a caller, or (`by_caller`) those after it."""
        found: list[Message] = []
        for name, limit in self._config.rate_limits.items():
            if name in self._lost or limit.by_address is by_caller:
                continue
            used = name in listener.rate_limits
            config = self._bucket(limit, None) if used else typed(_LOCAL, stat_prefix=_stat(name))
            found.append({"name": _filter(name), "typed_config": config})
        return found

    def per_route(self, route: Route) -> dict[str, object]:
        """The `typed_per_filter_config` of a route."""
        return {
            _filter(use.limit): self._bucket(self._config.rate_limits[use.limit], route)
            for use in route.rate_limits
            if use.limit not in self._lost
        }

    def _judge(self, limit: RateLimit) -> None:
        path = f"rate_limits.{limit.name}"
        if "workload" in limit.key:
            self._lost.add(limit.name)
            self._report.lose(limit.where, "", path, "Envoy's local limit cannot count by workload: it is left out")
            return
        if not limit.rate:
            self._lost.add(limit.name)
            self._report.lose(limit.where, "", path, "Envoy counts no concurrency by caller: it is left out")
            return
        if len(limit.rate) > 1:
            self._report.lose(limit.where, "", f"{path}.rate", "Envoy's local limit has one rate: the first is taken")
        if limit.fair:
            self._report.lose(limit.where, "", f"{path}.fair", "Envoy divides no limit among those who ask")
        if "principal" in limit.key:
            why = "Envoy counts by the token's iss and sub: callers without a token share one bucket"
            self._report.lose(limit.where, "", f"{path}.key", why)
        if limit.algorithm != "token_bucket":
            self._report.note(f"{path}: {limit.algorithm} becomes a token bucket, which lets short bursts through")
        self._report.note(
            "rate limits: each Envoy process counts for itself, without the store; IPv6 callers by whole address"
        )

    def _bucket(self, limit: RateLimit, route: Route | None) -> Message:
        rate = limit.rate[0]
        bucket: Message = {
            "max_tokens": limit.burst or rate.count,
            "tokens_per_fill": rate.count,
            "fill_interval": seconds(float(rate.period)),
        }
        always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
        enforced = always if limit.mode == "enforce" else {"default_value": {**always["default_value"], "numerator": 0}}
        message = typed(_LOCAL, stat_prefix=_stat(limit.name), filter_enabled=always, filter_enforced=enforced)
        message |= {"status": {"code": "TooManyRequests"}, "enable_x_ratelimit_headers": "DRAFT_VERSION_03"}
        parts = [pair for part in limit.key for pair in _actions(part, route)]
        if not parts:
            return {**message, "token_bucket": bucket}
        return {
            **message,
            "token_bucket": dict(_MANY),
            "always_consume_default_token_bucket": False,
            "descriptors": [{"entries": [{"key": key} for key, _ in parts], "token_bucket": bucket}],
            "rate_limits": [{"actions": list(actions)} for actions in product(*map(_alternatives, parts))],
        }


def _alternatives(part: tuple[str, Message]) -> list[Message]:
    """What fills a descriptor: of a header also its absence, for Envoy counts nothing where an action finds nothing."""
    key, action = part
    if "request_headers" not in action:
        return [action]
    headers = [{"name": key, "present_match": True}]
    absent: Message = {"descriptor_key": key, "descriptor_value": "absent", "expect_match": False, "headers": headers}
    return [action, {"header_value_match": absent}]


def _actions(part: str, route: Route | None) -> list[tuple[str, Message]]:
    """Descriptor keys and the actions that fill them, for one part of a key."""
    if part == "client_ip":
        return [("remote_address", {"remote_address": {}})]
    if part == "principal":
        return [_claim("iss"), _claim("sub")]
    if part == "issuer":
        return [_claim("iss")]
    kind, _, name = part.partition(":")
    if kind == "claim":
        return [_claim(name)]
    if kind == "header":
        return [(name, {"request_headers": {"header_name": name, "descriptor_key": name}})]
    value = (route.name if part == "route" else _upstreams(route)) if route is not None else "none"
    return [(part, {"generic_key": {"descriptor_key": part, "descriptor_value": value}})]


def _claim(name: str) -> tuple[str, Message]:
    path = [{"key": CLAIMS[1]}, {"key": name}]
    key = {"key": CLAIMS[0], "path": path}
    return name, {"metadata": {"descriptor_key": name, "metadata_key": key, "default_value": "none"}}


def _upstreams(route: Route) -> str:
    return ",".join(each.upstream for each in route.upstream or ())


def _filter(name: str) -> str:
    return f"gateway.limit.{name}"


def _stat(name: str) -> str:
    return f"limit.{name}"
