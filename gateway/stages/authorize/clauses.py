"""Clauses: one key of a rule, compiled to one test, and able to say what it saw.

`wide` clauses decide on any value of a repeated field, narrow ones on all of them, so that a repeat never helps (H17).
A negated clause on something absent holds in DENY and AUDIT and not in ALLOW, so that both traps of Z9 are shut.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from gateway.kernel.patterns.blocks import compile_blocks, parse_block
from gateway.kernel.patterns.templates import is_template
from gateway.kernel.patterns.values import Match, only_prefixes
from gateway.model.connection import IPAddress
from gateway.model.noun import noun
from gateway.stages.authorize.attributes import CONDITION, OPERATION, SOURCE, Attribute, Read, claim, header
from gateway.stages.authorize.expressions import Expression, compile_expression, expression_test
from gateway.stages.authorize.facts import Facts, Test

SpaceDelimited: TypeAlias = Mapping[str, frozenset[str]]
"""By issuer name: the claims that are split at spaces."""
AHEAD = 60.0  # seconds that the clock of who grants may be ahead of ours


@noun
class Clause:
    """One compiled key."""

    key: str  # as the file writes it: "from.principals", "to.not_paths", "when request.headers[x]"
    values: tuple[str, ...]  # as the file writes them
    test: Test
    seen: Read  # what the request has there; None: absent
    expression: Expression | None = None  # where the clause is CEL
    methods: frozenset[str] | None = None  # where `test` is: the method is one of these
    below: tuple[str, ...] | None = None  # where it is: there is a request principal, and it begins with one of these


@noun
class Span:
    """When a grant holds: seconds since the epoch, the end not included."""

    begins: float
    ends: float


def compile_span(span: Span) -> Clause:
    """A grant's time."""
    begins, ends = span.begins - AHEAD, span.ends
    return Clause(
        "time",
        (f"from {_time(span.begins)} until {_time(ends)}",),
        lambda facts: begins <= facts.ctx.time < ends,
        lambda facts: (_time(facts.ctx.time),),
    )


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def compile_cel(text: str, *, deny: bool, failed: Callable[[], None]) -> Clause:
    """One CEL string of `when`; `failed` counts. Raises CelInvalid, a ValueError with its place in the text."""
    expression = compile_expression(text)
    return Clause("when", (text,), expression_test(expression, deny=deny, failed=failed), lambda _: None, expression)


def compile_clause(key: str, attribute: Attribute, values: Sequence[str], *, negated: bool, deny: bool) -> Clause:
    """A clause over strings. `deny`: it stands in a DENY or AUDIT rule. Raises ValueError."""
    match = attribute.compile(values)
    read = attribute.read
    if attribute.repeats:
        test = _repeated(read, match, negated, deny)
    elif negated:
        test = _none_of(read, match, deny)
    elif attribute.single:
        test = _one(read, match)
    else:
        test = _any_of(read, match)
    return Clause(key, tuple(values), test, read)


def _one(read: Read, match: Match) -> Test:
    def test(facts: Facts) -> bool:
        values = read(facts)
        return values is not None and match(values[0])

    return test


def _any_of(read: Read, match: Match) -> Test:
    def test(facts: Facts) -> bool:
        values = read(facts)
        if values is None:
            return False
        return any(map(match, values))

    return test


def _none_of(read: Read, match: Match, when_absent: bool) -> Test:
    def test(facts: Facts) -> bool:
        values = read(facts)
        if values is None:
            return when_absent
        return not any(map(match, values))

    return test


def _repeated(read: Read, match: Match, negated: bool, deny: bool) -> Test:
    """Over a field that may be repeated: wide where a match refuses, narrow where a match grants.

    Backends join repeats with a comma, so the wide reading looks at the joined values as well.
    """
    wide = deny is not negated

    def test(facts: Facts) -> bool:
        values = read(facts)
        if values is None:
            return negated and deny
        if len(values) == 1:
            matched = match(values[0])
        elif wide:
            matched = any(map(match, values)) or match(",".join(values)) or match(", ".join(values))
        else:
            matched = all(map(match, values))
        return matched is not negated

    return test


def compile_source(key: str, values: Sequence[str], *, negated: bool, deny: bool, label: str) -> Clause:
    """One key of `from`, `not_` taken off. Raises ValueError."""
    if key == "ip_blocks":
        return _addresses(label, values, _peer, negated)
    if key == "remote_ip_blocks":
        return _addresses(label, values, _client, negated)
    prefixes = only_prefixes(values) if key == "request_principals" and not negated else ()
    if prefixes:
        return Clause(label, tuple(values), _named_below(prefixes), SOURCE[key].read, below=prefixes)
    return compile_clause(label, SOURCE[key], values, negated=negated, deny=deny)


def _named_below(prefixes: tuple[str, ...]) -> Test:
    """`request_principals` that all end with `*`, as most are: those of an issuer."""

    def test(facts: Facts) -> bool:
        user = facts.principal.user
        named = None if user is None else user.named
        return named is not None and named.startswith(prefixes)

    return test


def compile_operation(key: str, values: Sequence[str], *, negated: bool, deny: bool, label: str) -> Clause:
    """One key of `to`, `not_` taken off. Raises ValueError."""
    if key == "ports":
        return _port(label, values, negated)
    if not negated and key == "methods" and "*" not in values:
        methods = frozenset(values)
        return Clause(label, tuple(values), lambda facts: facts.method in methods, OPERATION[key].read, methods=methods)
    if not negated and key == "paths":
        match = OPERATION[key].compile(values)
        prefixes = only_prefixes(values) if not any(map(is_template, values)) else ()
        if prefixes:
            return Clause(label, tuple(values), lambda facts: facts.ctx.path.startswith(prefixes), OPERATION[key].read)
        return Clause(label, tuple(values), lambda facts: match(facts.ctx.path), OPERATION[key].read)
    return compile_clause(label, OPERATION[key], values, negated=negated, deny=deny)


def compile_condition(
    key: str, values: Sequence[str], *, negated: bool, deny: bool, space_delimited: SpaceDelimited
) -> Clause:
    """One `{key, values}` or `{key, not_values}` of `when`. Raises ValueError."""
    label = f"when {key}{' not' if negated else ''}"
    name, bracket, rest = key.partition("[")
    if bracket:
        if not rest.endswith("]"):
            raise ValueError(f'"{key}": a bracket is not closed')
        names = rest[:-1].split("][")
        if name == "request.auth.claims":
            return compile_clause(label, claim(names, space_delimited), values, negated=negated, deny=deny)
        if name == "request.headers" and len(names) == 1:
            return compile_clause(label, header(names[0]), values, negated=negated, deny=deny)
    elif name in CONDITION:
        return compile_clause(label, CONDITION[name], values, negated=negated, deny=deny)
    elif name in _CLAIMS:
        return compile_clause(label, claim([_CLAIMS[name]], {}), values, negated=negated, deny=deny)
    elif name in _ADDRESSES:
        return _addresses(label, values, _ADDRESSES[name], negated)
    elif name == "destination.port":
        return _port(label, values, negated)
    raise ValueError(f'"{key}" is no attribute that a condition can ask for')


def _addresses(label: str, blocks: Sequence[str], read: Callable[[Facts], IPAddress], negated: bool) -> Clause:
    inside = compile_blocks([parse_block(block) for block in blocks])
    test: Test = (lambda facts: not inside(read(facts))) if negated else (lambda facts: inside(read(facts)))
    return Clause(label, tuple(blocks), test, lambda facts: (str(read(facts)),))


def _port(label: str, values: Sequence[str], negated: bool) -> Clause:
    for value in values:
        if not (value.isascii() and value.isdigit()) or not 0 < int(value) < 65536:
            raise ValueError(f'"{value}" is no port: write a number from 1 to 65535')
    ports = frozenset(map(int, values))
    return Clause(
        label,
        tuple(values),
        lambda facts: (facts.ctx.connection.local_port in ports) is not negated,
        lambda facts: (str(facts.ctx.connection.local_port),),
    )


def _peer(facts: Facts) -> IPAddress:
    return facts.ctx.connection.peer_ip


def _client(facts: Facts) -> IPAddress:
    return facts.ctx.client_ip


def _local(facts: Facts) -> IPAddress:
    return facts.ctx.connection.local_ip


_ADDRESSES: dict[str, Callable[[Facts], IPAddress]] = {
    "source.ip": _peer,
    "remote.ip": _client,
    "destination.ip": _local,
}
_CLAIMS = {"request.auth.audiences": "aud", "request.auth.presenter": "azp"}
