"""`policies`, `allow`, `deny`, `requires.scopes` and `cors` of the config into the authorize stage.

A rule is compiled once, however many routes it stands over; routes under the same policies share one table.
"""

from collections.abc import Mapping
from dataclasses import replace

from gateway.config.schema import Config, Operation, Policy, Requires, Rule, Source
from gateway.kernel.cells import Metrics
from gateway.kernel.patterns.values import compile_values
from gateway.model.noun import noun
from gateway.stages.authorize import (
    Action,
    Authorize,
    ConditionSettings,
    RouteRules,
    RuleSettings,
    Span,
    compile_rule,
    route_rules,
)
from gateway.stages.authorize import Rule as CompiledRule
from gateway.stages.posture import compile_require


@noun
class Inputs:
    """What the rules of a route read of a request's headers and claims: what its record may show (`audit.inputs`)."""

    headers: frozenset[str]  # lower case
    claims: frozenset[tuple[str, ...]]  # the way to each, ("realm_access", "roles")
    device: frozenset[str]  # facts by name


def build_authorize(config: Config, metrics: Metrics | None = None) -> Authorize:
    """The authorize stage of `config`; `metrics` counts expressions that cannot be judged."""
    return Authorize(
        _tables(config, metrics),
        {index: frozenset(route.cors.origins) for index, route in enumerate(config.routes) if route.cors is not None},
        {index: route.cors.where for index, route in enumerate(config.routes) if route.cors is not None},
    )


def build_inputs(config: Config) -> Mapping[int, Inputs]:
    """By route index: the headers and claims that some rule over the route or its `requires` names, on any listener."""
    tables = _tables(config)
    found: dict[int, Inputs] = {}
    for (index, _), rules in tables.items():
        so_far = found.get(index, Inputs(frozenset(), frozenset(), frozenset()))
        headers = so_far.headers.union(*(rule.headers for rule in rules.listed))
        claims = so_far.claims.union(*(rule.claims for rule in rules.listed))
        device = so_far.device.union(_required(config, index), *(rule.device for rule in rules.listed))
        requires = config.routes[index].requires or Requires()
        asked = {("scope",), ("scp",)} if requires.scopes else set()
        asked |= {("aud",)} if requires.audiences else set()
        asked |= {("acr",)} if requires.acr else set()
        asked |= {("auth_time",)} if requires.max_auth_age is not None else set()
        found[index] = Inputs(headers, claims | asked, device)
    return found


def _required(config: Config, index: int) -> frozenset[str]:
    """The facts that the posture of a route asks about."""
    requires = config.routes[index].requires
    if requires is None or requires.posture is None:
        return frozenset()
    conditions = map(compile_require, config.posture[requires.posture].require)
    return frozenset(path[1] for condition in conditions for path in condition.reads if len(path) > 1)


def rule_settings(rule: Rule, action: Action, *, shadow: bool, span: Span | None = None) -> RuleSettings:
    """One rule of the file as the stage takes it; `shadow`: its policy is; `span`: when it holds, of a grant."""
    return RuleSettings(
        rule.name,
        action,
        shadow or rule.mode == "shadow",
        rule.where,
        tuple(_keys(source) for source in rule.from_),
        tuple(_keys(operation) for operation in rule.to),
        tuple(
            each if isinstance(each, str) else ConditionSettings(each.key, each.values, each.not_values)
            for each in rule.when
        ),
        span,
    )


def _tables(config: Config, metrics: Metrics | None = None) -> dict[tuple[int, str], RouteRules]:
    delimited = {name: frozenset(issuer.space_delimited_claims) for name, issuer in config.issuers.items()}
    alike: dict[tuple[object, ...], CompiledRule] = {}  # thousands of routes ask few things

    def compiled(rule: Rule, action: Action, *, shadow: bool = False, span: Span | None = None) -> CompiledRule:
        settings = rule_settings(rule, action, shadow=shadow, span=span)
        if not settings.conditions and span is None:
            sides = (settings.sources, settings.operations)
            key = (action, settings.shadow, *(tuple(tuple(each.items()) for each in side) for side in sides))
            made = alike.get(key)
            if made is None:
                made = alike[key] = compile_rule(settings, delimited)
            return replace(made, name=rule.name, where=rule.where)
        if metrics is None:
            return compile_rule(settings, delimited)
        label = rule.name if span is None else "grant"  # grants come and go
        return compile_rule(settings, delimited, metrics.expression_errors.labels(label).inc)

    policies = [
        (
            policy,
            compile_values(policy.routes),
            [compiled(rule, Action(policy.action), shadow=policy.mode == "shadow") for rule in policy.rules],
        )
        for policy in config.policies
    ]
    grants = [
        (compile_values(each.routes), compiled(each.rule, Action.ALLOW, span=Span(each.begins, each.ends)))
        for each in config.granted
    ]
    tables: dict[tuple[int, str], RouteRules] = {}
    for index, route in enumerate(config.routes):
        own = [compiled(rule, Action.DENY) for rule in route.deny]
        own += [compiled(rule, Action.ALLOW) for rule in route.allow]
        granted = tuple(rule for names, rule in grants if names(route.name))
        requires = route.requires or Requires()
        shared: dict[tuple[bool, ...], RouteRules] = {}
        for listener in config.listeners:
            applies = tuple(names(route.name) and _on(policy, listener) for policy, names, _ in policies)
            if applies not in shared:
                above = [rule for (_, _, rules), yes in zip(policies, applies, strict=True) if yes for rule in rules]
                shared[applies] = route_rules(
                    above, own, requires.scopes, requires.stated("scopes"), public=route.public, grants=granted
                )
            tables[index, listener] = shared[applies]
    return tables


def _on(policy: Policy, listener: str) -> bool:
    return not policy.listeners or listener in policy.listeners


def _keys(mapping: Source | Operation) -> dict[str, tuple[str, ...]]:
    """The keys that the file asks about, in the order of the contract."""
    return {key: tuple(map(str, values)) for key, values in mapping if key != "where" and values}
