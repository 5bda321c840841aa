"""Rules over facts of which some are not known: true, false, or it hangs on what is missing.

Only what holds whatever the missing facts are is an answer; anything else is `Undecidable`, never guessed.
The answer itself is given by the authorize stage that serves.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from gateway.stages.authorize import Clause, Facts, Rule

_ALWAYS_KNOWN = (
    "from.",
    "to.",
    "when source.",
    "when remote.ip",
    "when request.auth.principal",
    "when destination.port",
)
_STANDING = {"when request.auth.audiences": "aud", "when request.auth.presenter": "azp"}
_CONNECTION = {
    "from.ip_blocks": "peer",
    "from.not_ip_blocks": "peer",
    "when source.ip": "peer",
    "when connection.sni": "sni",
    "when destination.ip": "destination",
}
_TOKEN_CLAIMS = {"scopes": ("scope", "scp"), "audiences": ("aud",)}
_IN_EVERY_RECORD = (["method"], ["path"], ["host"], ["time"])
_PSEUDO = ("host", ":authority", ":method", ":path")


class Undecidable(Exception):  # noqa: N818 - it is an answer
    """It hangs on something that is not known; the message says on what."""


@dataclass(frozen=True, slots=True)
class Need:
    """One fact that may be missing."""

    kind: str  # header, claim, token, certificate, device, peer, sni, destination or other
    name: str
    path: tuple[str, ...] = ()  # of a claim

    def __str__(self) -> str:
        return f"the {self.kind} {self.name}".rstrip() if self.kind != "other" else self.name


def needs_of(rules: Iterable[Rule]) -> dict[int, tuple[Need, ...]]:
    """By the identity of a clause, all that the rules read and a record may lack."""
    found = {}
    for rule in rules:
        for alternatives in rule.groups:
            for alternative in alternatives:
                for clause in alternative:
                    needs = clause_needs(clause)
                    if needs:
                        found[id(clause)] = needs
    return found


def clause_needs(clause: Clause) -> tuple[Need, ...]:
    """What `clause` reads that a record may lack."""
    if clause.expression is not None:
        return tuple(dict.fromkeys(need for path in sorted(clause.expression.reads) for need in _read(*path)))
    key = clause.key.removesuffix(" not")
    if key in _STANDING:
        return (_claim(_STANDING[key]),)
    if key in _CONNECTION:
        return (Need(_CONNECTION[key], "of the connection"),)
    if key.startswith("when request.headers["):
        return _header(key[len("when request.headers[") : -1])
    if key.startswith("when request.auth.claims["):
        return (_claim(*key[len("when request.auth.claims[") : -1].split("][")),)
    return ()


def _read(variable: str, *names: str) -> Iterator[Need]:
    """What an expression reads by such a path."""
    match variable, *names:
        case "request", "headers", name:
            yield from _header(name)
        case "request", *rest if rest not in _IN_EVERY_RECORD:
            yield Need("other", f"the request's {'.'.join(rest)}" if rest else "the request")
        case "claims", *path:
            yield _claim(*path) if path else Need("token", "its claims")
        case "token", ("scopes" | "audiences") as name, *_:
            yield from map(_claim, _TOKEN_CLAIMS[name])
        case "token", *rest if rest not in (["issuer"], ["subject"]):
            yield Need("token", ".".join(rest))
        case "workload", *rest if not rest or rest[0] == "cert":
            yield Need("certificate", ".".join(rest[1:]))
        case "device", *rest:
            yield Need("device", rest[0] if rest else "")


def _claim(*path: str) -> Need:
    return Need("claim", ".".join(path), path)


def _header(name: str) -> tuple[Need, ...]:
    name = name.lower()
    return () if name in _PSEUDO else (Need("header", name),)


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


def holds(rule: Rule, facts: Facts, missing: Container[int]) -> bool | None:
    """Whether the rule matches; None where that hangs on the clauses in `missing`."""
    return all_of(
        any_of(
            all_of(None if id(clause) in missing else clause.test(facts) for clause in each) for each in alternatives
        )
        for alternatives in rule.groups
    )
