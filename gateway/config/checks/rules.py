"""Rules: every pattern and condition compiles, and no two keys contradict by their nature.

Judged by what compiles them for serving, value by value, so that each fault has its place.
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from gateway.config.checks.expressions import judge_expression
from gateway.config.checks.report import Report
from gateway.config.schema import Condition, Config, Operation, Rule, Source
from gateway.config.schema.grants import GrantedRule
from gateway.config.tree import Path
from gateway.stages.authorize.clauses import compile_condition, compile_operation, compile_source
from gateway.stages.authorize.expressions import compile_expression


class _CompileKey(Protocol):
    def __call__(self, key: str, values: Sequence[str], *, negated: bool, deny: bool, label: str) -> object: ...


_NETWORKS = ("ip_blocks", "not_ip_blocks", "remote_ip_blocks", "not_remote_ip_blocks")
_NOT_BESIDE_ACCOUNTS = ("principals", "not_principals", "namespaces", "not_namespaces")


def check(config: Config, report: Report) -> None:
    """Rules of policies and routes."""
    for index, policy in enumerate(config.policies):
        _rules(report, ("policies", index, "rules"), policy.rules, deny=policy.action != "allow")
    for index, route in enumerate(config.routes):
        _rules(report, ("routes", index, "deny"), route.deny, deny=True)
        _rules(report, ("routes", index, "allow"), route.allow, deny=False)


def _rules(report: Report, base: Path, rules: Sequence[Rule], *, deny: bool) -> None:
    for index, rule in enumerate(rules):
        judge_rule(report, (*base, index), rule, deny=deny)


def judge_rule(report: Report, path: Path, rule: Rule | GrantedRule, *, deny: bool) -> None:
    """One rule, at `path`; `deny`: it stands in a DENY or AUDIT."""
    for position, source in enumerate(rule.from_):
        _source(report, (*path, "from", position), source, deny=deny)
    for position, operation in enumerate(rule.to):
        _operation(report, (*path, "to", position), operation, deny=deny)
    for position, condition in enumerate(rule.when):
        if isinstance(condition, str):
            judge_expression(report, (*path, "when", position), condition, compile_expression)
        else:
            _condition(report, (*path, "when", position), condition, deny=deny)


def _source(report: Report, path: Path, source: Source, *, deny: bool) -> None:
    asked = [key for key, values in source if key != "where" and values]
    if not asked and not report.lost(source.where, *type(source).model_fields):
        report.error(path, "from: {} asks nothing", "remove it, or write what it should ask")
    for key in asked:
        if key in _NETWORKS:
            continue
        report.each(
            (*path, key),
            getattr(source, key),
            partial(_compiled, compile_source, key, deny),
        )
    if source.service_accounts or source.not_service_accounts:
        for key in _NOT_BESIDE_ACCOUNTS:
            if getattr(source, key):
                report.error_at_key((*path, key), f"{key} stands beside service_accounts, which says both already")


def _compiled(compile_key: _CompileKey, key: str, deny: bool, value: str) -> None:
    plain = key.removeprefix("not_")
    compile_key(plain, [value], negated=key != plain, deny=deny, label=key)


def _operation(report: Report, path: Path, operation: Operation, *, deny: bool) -> None:
    asked = [key for key, values in operation if key != "where" and values]
    if not asked and not report.lost(operation.where, *type(operation).model_fields):
        report.error(path, "to: {} asks nothing", "remove it, or write what it should ask")
    for key in ("hosts", "not_hosts", "paths", "not_paths"):
        report.each(
            (*path, key),
            getattr(operation, key),
            partial(_compiled, compile_operation, key, deny),
        )


def _condition(report: Report, path: Path, condition: Condition, *, deny: bool) -> None:
    def compiled(value: str, key: str = condition.key) -> None:
        compile_condition(key, [value], negated=False, deny=deny, space_delimited={})

    if not condition.values and not condition.not_values:
        if not report.lost(condition.where, "values", "not_values"):
            report.error(path, f"{condition.key} is compared with nothing", "write values or not_values")
        return
    try:
        compile_condition(condition.key, [], negated=False, deny=deny, space_delimited={})
    except ValueError as fault:
        report.error((*path, "key"), str(fault))
        return
    report.each((*path, "values"), condition.values, compiled)
    report.each((*path, "not_values"), condition.not_values, compiled)
