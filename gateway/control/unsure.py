"""Rules over facts of which some are not known: true, false, or it hangs on what is missing.

Only what holds whatever the missing facts are is an answer; anything else is `Undecidable`, never guessed.
The answer itself is given by the authorize stage that serves.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from gateway.model.noun import noun
from gateway.stages.authorize import Clause, Facts, Rule

Known: TypeAlias = Callable[["Need"], bool]

_ALWAYS_KNOWN = (
    "from.",
    "to.",
    "when source.",
    "when remote.ip",
    "when request.auth.principal",
    "when destination.port",
)
_STANDING = {"when request.auth.audiences": "aud", "when request.auth.presenter": "azp"}
_CONNECTION = {"when source.ip": "peer", "when connection.sni": "sni", "when destination.ip": "destination"}
_RECORDED_VARIABLES = frozenset(
    [("request", name) for name in ("method", "path", "host", "time")]
    + [("token", name) for name in ("issuer", "subject")]
    + [("workload", name) for name in ("id", "spiffe_id", "trust_domain", "path", "namespace", "service_account")]
    + [("client", "ip"), ("route",)]
)
_PSEUDO = ("host", ":authority", ":method", ":path")


class Undecidable(Exception):  # noqa: N818 - it is an answer
    """It hangs on something that is not known; the message says on what."""


@noun
class Need:
    """One fact that may be missing."""

    kind: str  # header, claim, fact, peer, sni, destination, expression or other
    name: str
    path: tuple[str, ...] = ()  # of a claim
    parts: tuple["Need", ...] = ()  # of an expression: all of them

    def __str__(self) -> str:
        if self.kind == "expression":
            return f"what {self.name!r} asks"
        return f"the {self.kind} {self.name}".rstrip() if self.kind != "other" else self.name


def need_of(clause: Clause) -> Need | None:
    """What `clause` reads that a record may lack; None for what every record has."""
    if clause.expression is not None:
        parts = tuple(need for path in sorted(clause.expression.reads) for need in _needs_of_variable(path))
        return Need("expression", clause.expression.text, (), parts) if parts else None
    key = clause.key.removesuffix(" not")
    if key in _STANDING:
        return Need("claim", _STANDING[key], (_STANDING[key],))
    if key in _CONNECTION:
        return Need(_CONNECTION[key], "of the connection")
    if key in ("from.ip_blocks", "from.not_ip_blocks"):
        return Need("peer", "of the connection")
    if key.startswith("when request.headers["):
        name = key[len("when request.headers[") : -1].lower()
        return None if name in _PSEUDO else Need("header", name)
    if key.startswith("when request.auth.claims["):
        path = tuple(key[len("when request.auth.claims[") : -1].split("]["))
        return Need("claim", ".".join(path), path)
    return None if key.startswith(_ALWAYS_KNOWN) else Need("other", key)


def _needs_of_variable(path: tuple[str, ...]) -> Iterator[Need]:
    """What a variable of an expression stands on that a record may lack."""
    match path:
        case ("request", "headers", name):
            if name.lower() not in _PSEUDO:
                yield Need("header", name.lower())
        case ("claims", *names) if names:
            yield Need("claim", ".".join(names), tuple(names))
        case ("token", "scopes"):
            yield from (Need("claim", name, (name,)) for name in ("scope", "scp"))
        case ("token", "audiences"):
            yield Need("claim", "aud", ("aud",))
        case ("device", name, *_):
            yield Need("fact", name)
        case _ if path not in _RECORDED_VARIABLES:
            yield Need("other", ".".join(path))


def needs_of(rules: Iterable[Rule]) -> dict[int, Need]:
    """By the identity of a clause, all that the rules read and a record may lack."""
    found = {}
    for rule in rules:
        for alternatives in rule.groups:
            for alternative in alternatives:
                for clause in alternative:
                    need = need_of(clause)
                    if need is not None:
                        found[id(clause)] = need
    return found


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """True when one is, false when all are."""
    unsure = False
    for answer in answers:
        if answer:
            return True
        unsure = unsure or answer is None
    return None if unsure else False


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """False when one is, true when all are."""
    unsure = False
    for answer in answers:
        if answer is False:
            return False
        unsure = unsure or answer is None
    return None if unsure else True


def holds(rule: Rule, facts: Facts, missing: dict[int, Need]) -> bool | None:
    """Whether the rule matches; None where that hangs on the clauses in `missing`."""
    return all_of(
        any_of(
            all_of(None if id(clause) in missing else clause.test(facts) for clause in each) for each in alternatives
        )
        for alternatives in rule.groups
    )
