"""Rules: `from` AND `to` AND all of `when`, compiled once to a function of the facts.

What serves and what explains share the same compiled clauses, so they cannot drift apart.
A rule that does not compile becomes a deny that names itself: invalid never means open.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.stages.authorize.clauses import (
    Clause,
    SpaceDelimited,
    Span,
    compile_cel,
    compile_condition,
    compile_operation,
    compile_source,
    compile_span,
)
from gateway.stages.authorize.expressions import compile_expression, reads
from gateway.stages.authorize.facts import Facts, Test


class Action(StrEnum):
    """What a match does."""

    ALLOW = "allow"
    DENY = "deny"
    AUDIT = "audit"


@noun
class ConditionSettings:
    """One entry of `when`."""

    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


@noun
class RuleSettings:
    """One rule as the file writes it; keys of `from` and `to` with or without `not_`."""

    name: str
    action: Action
    shadow: bool
    where: Place | None
    sources: tuple[Mapping[str, tuple[str, ...]], ...] = ()  # one of them must match; none: not asked
    operations: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    conditions: tuple[ConditionSettings | str, ...] = ()  # a string is CEL
    span: Span | None = None  # a grant's; None: at any time


@noun
class Rule:
    """One compiled rule."""

    name: str
    action: Action
    shadow: bool
    where: Place | None
    matches: Test
    groups: tuple[tuple[tuple[Clause, ...], ...], ...]  # each group: alternatives, of which one must hold whole
    fault: str | None  # why it did not compile
    headers: frozenset[str]  # names that it reads, for the record of its inputs
    claims: frozenset[tuple[str, ...]]
    device: frozenset[str]  # facts of the device
    ends: float | None = None  # seconds since the epoch: when it allows no more


@noun
class Plain:
    """A rule that asks for nothing but a method and the issuer of a user, as most do, as data: see `Rule.matches`."""

    name: str
    where: Place | None
    methods: frozenset[str] | None  # None: any
    below: tuple[str, ...]  # what a request principal begins with


def plain(rule: Rule) -> Plain | None:
    """The same rule for who has a request principal; None where it asks for more."""
    methods, below = None, None
    for alternatives in rule.groups:
        for clause in alternatives[0]:
            if len(alternatives) == 1 and clause.methods is not None and methods is None:
                methods = clause.methods
            elif len(alternatives) == 1 and clause.below is not None and below is None:
                below = clause.below
            else:
                return None
    if rule.fault is not None:
        return None
    return Plain(rule.name, rule.where, methods, ("",) if below is None else below)


class _CompileKey(Protocol):
    def __call__(self, key: str, values: Sequence[str], *, negated: bool, deny: bool, label: str) -> Clause: ...


def _uncounted() -> None:
    """Where nobody counts."""


def compile_rule(
    settings: RuleSettings, space_delimited: SpaceDelimited, failed: Callable[[], None] = _uncounted
) -> Rule:
    """Never raises: see `Rule.fault`. `failed` is called for each expression that could not be judged."""
    try:
        groups = _groups(settings, space_delimited, failed)
    except ValueError as error:
        action = settings.action if settings.action is Action.AUDIT else Action.DENY
        return Rule(
            settings.name,
            action,
            settings.shadow,
            settings.where,
            _always,
            (),
            str(error),
            frozenset(),
            frozenset(),
            frozenset(),
        )
    conditions = [each for each in settings.conditions if not isinstance(each, str)]
    read = [reads(compile_expression(each)) for each in settings.conditions if isinstance(each, str)]
    return Rule(
        settings.name,
        settings.action,
        settings.shadow,
        settings.where,
        _all_of([test for group in groups for test in _tests(group)]),
        groups,
        None,
        frozenset(name.lower() for name in _named(conditions, "request.headers[")).union(
            *(each.headers for each in read)
        ),
        frozenset(tuple(name.split("][")) for name in _named(conditions, "request.auth.claims[")).union(
            _standing_claims(conditions), *(each.claims for each in read)
        ),
        frozenset[str]().union(*(each.facts for each in read)),
        settings.span.ends if settings.span is not None else None,
    )


def check_rule(settings: RuleSettings) -> None:
    """Raises ValueError for what would not compile, with what to write instead."""
    _groups(settings, {}, _uncounted)


def _groups(
    settings: RuleSettings, space_delimited: SpaceDelimited, failed: Callable[[], None]
) -> tuple[tuple[tuple[Clause, ...], ...], ...]:
    deny = settings.action is not Action.ALLOW
    groups: list[tuple[tuple[Clause, ...], ...]] = []
    if settings.span is not None:
        groups.append(((compile_span(settings.span),),))
    if settings.operations:
        groups.append(tuple(_mapping("to", each, compile_operation, deny) for each in settings.operations))
    if settings.sources:
        groups.append(tuple(_mapping("from", each, compile_source, deny) for each in settings.sources))
    for condition in settings.conditions:
        if isinstance(condition, str):
            groups.append(((compile_cel(condition, deny=deny, failed=failed),),))
            continue
        clauses = [
            compile_condition(condition.key, values, negated=negated, deny=deny, space_delimited=space_delimited)
            for values, negated in ((condition.values, False), (condition.not_values, True))
            if values
        ]
        if not clauses:
            raise ValueError(f'"{condition.key}": write values or not_values')
        groups.append((tuple(clauses),))
    return tuple(groups)


def _mapping(
    side: str, keys: Mapping[str, tuple[str, ...]], compile_key: _CompileKey, deny: bool
) -> tuple[Clause, ...]:
    if not keys:
        raise ValueError(f"{side}: {{}} asks nothing: remove it, or write what it should ask")
    return tuple(
        compile_key(key.removeprefix("not_"), values, negated=key.startswith("not_"), deny=deny, label=f"{side}.{key}")
        for key, values in keys.items()
    )


def _named(conditions: Sequence[ConditionSettings], prefix: str) -> list[str]:
    return [each.key[len(prefix) : -1] for each in conditions if each.key.startswith(prefix)]


def _standing_claims(conditions: Sequence[ConditionSettings]) -> frozenset[tuple[str, ...]]:
    standing = {"request.auth.audiences": ("aud",), "request.auth.presenter": ("azp",)}
    return frozenset(standing[each.key] for each in conditions if each.key in standing)


def _always(_: Facts) -> bool:
    return True


def _all_of(tests: Sequence[Test]) -> Test:
    """All of `tests`; the short ones, which are nearly all, without a loop."""
    match tests:
        case []:
            return _always
        case [only]:
            return only
        case [first, second]:
            return lambda facts: first(facts) and second(facts)
        case [first, second, third]:
            return lambda facts: first(facts) and second(facts) and third(facts)
    rest = tuple(tests)

    def test(facts: Facts) -> bool:
        for each in rest:  # noqa: SIM110 - a generator costs more than the tests
            if not each(facts):
                return False
        return True

    return test


def _tests(alternatives: tuple[tuple[Clause, ...], ...]) -> list[Test]:
    """What must all hold: the clauses of the only alternative, or one test over several."""
    if len(alternatives) == 1:
        return [clause.test for clause in alternatives[0]]
    return [_one_of([_all_of([clause.test for clause in each]) for each in alternatives])]


def _one_of(tests: Sequence[Test]) -> Test:
    alternatives = tuple(tests)

    def test(facts: Facts) -> bool:
        for each in alternatives:  # noqa: SIM110 - as above
            if each(facts):
                return True
        return False

    return test
