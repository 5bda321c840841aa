"""Names: each that is used stands somewhere, and none stands twice.

A name whose own entry is faulty still counts as standing.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from gateway.config.checks.report import Report
from gateway.config.schema import Config, Policy, Route, Rule
from gateway.config.tree import Path
from gateway.kernel.patterns.values import compile_values


def check(config: Config, report: Report) -> None:
    """Dangling names and duplicates."""
    for key, listener in config.listeners.items():
        _all(report, ("listeners", key, "rate_limits"), listener.rate_limits, "rate_limits", config.rate_limits)
        if listener.on_failed_authentication is not None:
            path: Path = ("listeners", key, "on_failed_authentication")
            known(report, path, listener.on_failed_authentication, "rate_limits", config.rate_limits)
    for name, limit in config.rate_limits.items():
        for position, override in enumerate(limit.overrides):
            where: Path = ("rate_limits", name, "overrides", position, "match", "issuers")
            _all(report, where, override.match.issuers, "issuers", config.issuers)
    for index, route in enumerate(config.routes):
        _route(config, report, index, route)
    for index, policy in enumerate(config.policies):
        _policy(config, report, index, policy)
    _unique(report, "route", [(route.name, ("routes", i, "name")) for i, route in enumerate(config.routes)])
    _unique(report, "policy", [(policy.name, ("policies", i, "name")) for i, policy in enumerate(config.policies)])


def _route(config: Config, report: Report, index: int, route: Route) -> None:
    base: Path = ("routes", index)
    for position, part in enumerate(route.upstream or ()):
        known(report, (*base, "upstream", position, "upstream"), part.upstream, "upstreams", config.upstreams)
    if route.mirror is not None:
        known(report, (*base, "mirror", "upstream"), route.mirror.upstream, "upstreams", config.upstreams)
    for position, use in enumerate(route.rate_limits):
        path = (*base, "rate_limits", position)
        place = (*path, "limit") if report.stands((*path, "limit")) else path
        known(report, place, use.limit, "rate_limits", config.rate_limits)
    if route.requires is not None and route.requires.posture is not None:
        known(report, (*base, "requires", "posture"), route.requires.posture, "posture", config.posture)
    _all(report, (*base, "match", "listeners"), route.match.listeners, "listeners", config.listeners)
    named: list[tuple[str, Path]] = []
    for key, rules in (("deny", route.deny), ("allow", route.allow)):
        _rules(config, report, (*base, key), rules)
        named += [(rule.name, (*base, key, position, "name")) for position, rule in enumerate(rules)]
    _unique(report, "rule", named)


def _policy(config: Config, report: Report, index: int, policy: Policy) -> None:
    base: Path = ("policies", index)
    _all(report, (*base, "listeners"), policy.listeners, "listeners", config.listeners)
    _rules(config, report, (*base, "rules"), policy.rules)
    _unique(report, "rule", [(rule.name, (*base, "rules", i, "name")) for i, rule in enumerate(policy.rules)])
    names = [route.name for route in config.routes]
    for position, pattern in enumerate(policy.routes):
        path = (*base, "routes", position)
        if not report.one(path, pattern, lambda text: compile_values([text])) or report.lost_in("routes"):
            continue
        if "*" not in pattern:
            known(report, path, pattern, "routes", dict.fromkeys(names))
        elif not any(map(compile_values([pattern]), names)):
            report.warn(path, f"no route has a name like {pattern!r}: the policy covers nothing by it")


def _rules(config: Config, report: Report, base: Path, rules: Sequence[Rule]) -> None:
    for index, rule in enumerate(rules):
        for position, source in enumerate(rule.from_):
            path = (*base, index, "from", position)
            _all(report, (*path, "issuers"), source.issuers, "issuers", config.issuers)
            _all(report, (*path, "not_issuers"), source.not_issuers, "issuers", config.issuers)


def _all(report: Report, path: Path, names: Iterable[str], section: str, named: Mapping[str, object]) -> None:
    for index, name in enumerate(names):
        known(report, (*path, index), name, section, named)


def known(report: Report, path: Path, name: str, section: str, named: Mapping[str, object]) -> None:
    """An error at `path` where `name` is none of the names of a section."""
    if name in named or report.lost_in(section, name):
        return
    close = get_close_matches(name, named, 1)
    hint = f"did you mean {close[0]!r}?" if close else ""
    report.error(path, f"{name!r} is none of {section}", hint)


def _unique(report: Report, what: str, names: Iterable[tuple[str, Path]]) -> None:
    first: dict[str, Path] = {}
    for name, path in names:
        if name in first:
            report.error(
                path, f"two {what}s are named {name!r}".replace("policys", "policies"), _line(report, first[name])
            )
        else:
            first[name] = path


def _line(report: Report, path: Path) -> str:
    return f"the first stands in line {report.place(path).line}"
