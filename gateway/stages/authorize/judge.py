"""Judging with reasons: every rule of a route, matched or not, and which clause failed on what.

For explain, policy tests and review; it runs the compiled clauses that serve, one by one.
"""

from collections.abc import Iterable, Iterator

from gateway.kernel.cel import Failure
from gateway.model.noun import noun
from gateway.stages.authorize.clauses import Clause
from gateway.stages.authorize.expressions import Expression
from gateway.stages.authorize.facts import Facts
from gateway.stages.authorize.rules import Rule

_SHOWN = 80


@noun
class Judged:
    """One rule over one request."""

    rule: Rule
    matched: bool
    missing: tuple[str, ...]  # what would have to be otherwise, a text for each failed clause; () when it matched
    errors: tuple[str, ...] = ()  # expressions that could not be judged, and why; they decide as the rule's action says

    @property
    def why(self) -> str:
        """In words for people."""
        if self.rule.fault is not None:
            return f"the rule is invalid: {self.rule.fault}"
        if not self.matched:
            return "; ".join(self.missing)
        if self.errors:
            return "; ".join(f"{error}, which counts as a match" for error in self.errors)
        keys = [clause.key for group in self.rule.groups for clause in group[0]]
        return f"every condition holds ({', '.join(dict.fromkeys(keys))})" if keys else "it asks nothing"


def judge(rules: Iterable[Rule], facts: Facts) -> list[Judged]:
    """Every rule, in the order given."""
    return [_judge(rule, facts) for rule in rules]


def _judge(rule: Rule, facts: Facts) -> Judged:
    missing: list[str] = []
    for alternatives in rule.groups:
        failed = [[clause for clause in each if not clause.test(facts)] for each in alternatives]
        for clause in min(failed, key=len):  # of alternatives, the nearest
            missing += [_text(clause, facts)] if clause.expression is None else _unmet(clause.expression, facts)
    return Judged(rule, rule.matches(facts), tuple(missing), tuple(_errors(rule, facts)))


def _errors(rule: Rule, facts: Facts) -> Iterator[str]:
    for (clause, *_), *_ in rule.groups:  # an expression stands alone in its group
        found = clause.expression.run(facts) if clause.expression is not None else None
        if isinstance(found, Failure):
            yield f"{' '.join(clause.values)} cannot be judged: {found}"


def _text(clause: Clause, facts: Facts) -> str:
    seen = clause.seen(facts)
    has = "it is absent" if seen is None else f"it is {', '.join(map(_cut, seen)) or 'empty'}"
    return f"{asks(clause)}: {has}"


def asks(clause: Clause) -> str:
    """What a clause asks, in words for people."""
    if clause.expression is not None:
        return f"{_cut(clause.expression.text)} must be true"
    negated = ".not_" in clause.key or clause.key.endswith(" not")
    return f"{clause.key.removesuffix(' not')} must {'not ' if negated else ''}be {' or '.join(clause.values)}"


def _unmet(expression: Expression, facts: Facts) -> Iterator[str]:
    """The conditions joined by `&&` that do not hold, each with why."""
    for part in expression.parts():
        found = part.run(facts)
        if isinstance(found, Failure):
            yield f"when {_cut(part.text)} cannot be judged: {found.message}"
        elif found is not True:
            yield f"when {_cut(part.text)} is false"


def _cut(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _SHOWN else words[:_SHOWN] + "…"
