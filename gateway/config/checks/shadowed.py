"""Rules against each other: one whose requests an earlier rule of its list decides, or a deny of its route.

Only warnings. What is not certain is not said: patterns are compared where one surely takes all that the other takes,
conditions only where they are the same.
"""

from collections.abc import Sequence
from typing import TypeVar

from gateway.config.checks.report import Report
from gateway.config.schema import Condition, Config, Operation, Rule, Source
from gateway.config.tree import Path
from gateway.kernel.patterns.templates import is_template
from gateway.kernel.patterns.values import Kind, parse_value

_Side = TypeVar("_Side", Source, Operation)


def check(config: Config, report: Report) -> None:
    """Policies and routes. Needs sound patterns."""
    if not report.sound:
        return
    for index, policy in enumerate(config.policies):
        if policy.mode == "enforce":
            _within(report, ("policies", index, "rules"), policy.rules)
    for index, route in enumerate(config.routes):
        _within(report, ("routes", index, "deny"), route.deny)
        _within(report, ("routes", index, "allow"), route.allow, [rule for rule in route.deny if _enforced(rule)])


def _within(report: Report, base: Path, rules: Sequence[Rule], above: Sequence[Rule] = ()) -> None:
    """`above`: what decides before any of `rules` does."""
    earlier = list(above)
    for index, rule in enumerate(rules):
        if not _enforced(rule):
            continue
        taker = next((one for one in earlier if _takes_all(one, rule)), None)
        if taker is not None:
            report.warn((*base, index), f"the rule {rule.name} never decides: {taker.name} matches whatever it matches")
        earlier.append(rule)


def _enforced(rule: Rule) -> bool:
    return rule.mode == "enforce"


def _takes_all(wide: Rule, narrow: Rule) -> bool:
    return (
        _sides(wide.from_, narrow.from_)
        and _sides(wide.to, narrow.to)
        and {_text(each) for each in wide.when} <= {_text(each) for each in narrow.when}
    )


def _sides(wide: Sequence[_Side], narrow: Sequence[_Side]) -> bool:
    """True when whatever one of `narrow` matches is matched by one of `wide`; an empty list asks nothing."""
    if not wide:
        return True
    return bool(narrow) and all(any(_mapping(one, other) for one in wide) for other in narrow)


def _mapping(wide: Source | Operation, narrow: Source | Operation) -> bool:
    for key, values in wide:
        if key == "where" or not values:
            continue
        asked = getattr(narrow, key)
        if not asked:
            return False
        taken, taking = (values, asked) if key.startswith("not_") else (asked, values)
        if not all(any(_covers(one, value) for one in taking) for value in taken):
            return False
    return True


def _covers(wide: object, narrow: object) -> bool:
    """True when the pattern `wide` surely matches whatever `narrow` matches."""
    if wide == narrow or wide == "*":
        return True
    if not (isinstance(wide, str) and isinstance(narrow, str)) or is_template(wide) or is_template(narrow):
        return False
    (kind, text), (other, literal) = parse_value(wide), parse_value(narrow)
    if kind is Kind.PREFIX:
        return other in (Kind.EXACT, Kind.PREFIX) and literal.startswith(text)
    return kind is Kind.SUFFIX and other in (Kind.EXACT, Kind.SUFFIX) and literal.endswith(text)


def _text(condition: Condition | str) -> object:
    """What two conditions are compared by."""
    if isinstance(condition, str):
        return " ".join(condition.split())
    return condition.key, frozenset(condition.values), frozenset(condition.not_values)
