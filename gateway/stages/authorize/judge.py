"""Judging with reasons: every rule of a route, matched or not, and which clause failed on what.

For explain, policy tests and review; it runs the compiled clauses that serve, one by one.
"""

from collections.abc import Iterable

from gateway.model.noun import noun
from gateway.stages.authorize.clauses import Clause
from gateway.stages.authorize.facts import Facts
from gateway.stages.authorize.rules import Rule

_SHOWN = 80


@noun
class Judged:
    """One rule over one request."""

    rule: Rule
    matched: bool
    missing: tuple[str, ...]  # what would have to be otherwise, one text per failed clause; () when it matched

    @property
    def why(self) -> str:
        """In words for people."""
        if self.rule.fault is not None:
            return f"the rule is invalid: {self.rule.fault}"
        if not self.matched:
            return "; ".join(self.missing)
        keys = [clause.key for group in self.rule.groups for clause in group[0]]
        return f"every condition holds ({', '.join(dict.fromkeys(keys))})" if keys else "it asks nothing"


def judge(rules: Iterable[Rule], facts: Facts) -> list[Judged]:
    """Every rule, in the order given."""
    return [_judge(rule, facts) for rule in rules]


def _judge(rule: Rule, facts: Facts) -> Judged:
    missing: list[str] = []
    for alternatives in rule.groups:
        failed = [[clause for clause in each if not clause.test(facts)] for each in alternatives]
        missing += [_text(clause, facts) for clause in min(failed, key=len)]  # of alternatives, the nearest
    return Judged(rule, rule.matches(facts), tuple(missing))


def _text(clause: Clause, facts: Facts) -> str:
    seen = clause.seen(facts)
    if seen is None:
        has = "it is absent"
    else:
        has = f"it is {', '.join(value if len(value) <= _SHOWN else value[:_SHOWN] + '…' for value in seen) or 'empty'}"
    return f"{asks(clause)}: {has}"


def asks(clause: Clause) -> str:
    """What a clause asks, in words for people."""
    negated = ".not_" in clause.key or clause.key.endswith(" not")
    return f"{clause.key.removesuffix(' not')} must {'not ' if negated else ''}be {' or '.join(clause.values)}"
