"""The rules: who may do what, and why."""

from gateway.stages.authorize.authorize import Authorize, RouteRules, route_rules
from gateway.stages.authorize.clauses import Clause, Span
from gateway.stages.authorize.facts import Facts
from gateway.stages.authorize.judge import Judged, asks, judge
from gateway.stages.authorize.rules import (
    Action,
    ConditionSettings,
    Rule,
    RuleSettings,
    check_rule,
    compile_rule,
)

__all__ = [
    "Action",
    "Authorize",
    "Clause",
    "ConditionSettings",
    "Facts",
    "Judged",
    "RouteRules",
    "Rule",
    "RuleSettings",
    "Span",
    "asks",
    "check_rule",
    "compile_rule",
    "judge",
    "route_rules",
]
