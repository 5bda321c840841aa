"""CEL in rules: what an expression may read of a request, and what its failure means.

A failure is no match in ALLOW and a match in DENY and AUDIT, so that what cannot be judged never opens anything.
A field that is sent twice cannot be judged: no reading of it can be played off against another (H17).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias, TypeVar

from gateway.kernel.cel import (
    Failure,
    Field,
    Kind,
    Program,
    Record,
    Run,
    Variables,
    always,
    compile_condition,
    record,
    timestamp_of_seconds,
)
from gateway.model.json import Claims
from gateway.model.noun import noun
from gateway.model.principal import Principal, User, Workload
from gateway.stages.authorize.attributes import header_name, scopes, strings
from gateway.stages.authorize.facts import Facts, Test

Expression: TypeAlias = Program[Facts]
_Proof = TypeVar("_Proof", User, Workload)

_NOTHING: Claims = {}
_address = lru_cache(4096)(str)
_SPIFFE = "spiffe://"


@lru_cache(8192)
def compile_expression(text: str) -> Expression:
    """A condition over VARIABLES. Raises CelInvalid, a ValueError."""
    return compile_condition(text, VARIABLES)


def expression_test(expression: Expression, *, deny: bool, failed: Callable[[], None]) -> Test:
    """Whether it holds; `deny`: it stands in a DENY or AUDIT rule. `failed` counts what could not be judged."""
    run = expression.run

    def test(facts: Facts) -> bool:
        found = run(facts)
        if found is True:
            return True
        if found is False:
            return False
        failed()
        return deny

    return test


@noun
class Reads:
    """What an expression reads of what a record may show."""

    headers: frozenset[str]  # lower case
    claims: frozenset[tuple[str, ...]]
    facts: frozenset[str]  # of the device


def reads(expression: Expression) -> Reads:
    """By the contract's names of inputs."""
    headers: set[str] = set()
    claims: set[tuple[str, ...]] = set()
    facts: set[str] = set()
    for variable, *names in expression.reads:
        if variable == "request" and len(names) > 1 and names[0] == "headers":
            headers.add(names[1].lower())
        elif variable == "claims" and names:
            claims.add(tuple(names))
        elif variable == "device" and names:
            facts.add(names[0])
        elif variable == "token" and names:
            claims.update(_TOKEN_CLAIMS.get(names[0], ()))
    return Reads(frozenset(headers), frozenset(claims), frozenset(facts))


def _header(name: str) -> Field[Facts]:
    """One field. Raises ValueError for what is no name."""
    name = header_name(name)
    if name in _PSEUDO:
        return _PSEUDO[name]

    def make(absent: object) -> Run[Facts]:
        line, column = (absent.line, absent.column) if isinstance(absent, Failure) else (1, 1)
        repeated = Failure(f"the header {name} stands more than once", line, column)

        def read(facts: Facts) -> object:
            values = facts.ctx.values.get(name)
            if values is None:
                return absent
            return values[0] if len(values) == 1 else repeated

        return read

    return Field(Kind.STRING, make)


def _headers(facts: Facts) -> Mapping[str, object]:
    return {name: values[0] if len(values) == 1 else list(values) for name, values in facts.ctx.values.items()}


def _query(absent: object) -> Run[Facts]:
    def read(facts: Facts) -> object:
        query = facts.ctx.query
        return absent if query is None else query

    return read


def _claim(name: str) -> Field[Facts]:
    return Field(Kind.ANY, lambda absent: lambda facts: facts.claims.get(name, absent))


def _fact(name: str) -> Field[Facts]:
    def make(absent: object) -> Run[Facts]:
        def read(facts: Facts) -> object:
            return absent if facts.posture is None else facts.posture.facts.get(name, absent)

        return read

    return Field(Kind.ANY, make)


def _device(facts: Facts) -> Claims:
    return _NOTHING if facts.posture is None else facts.posture.facts


def _of(proof: Callable[[Principal], _Proof | None], kind: Kind, read: Callable[[_Proof], object]) -> Field[Facts]:
    """A member of a proof: absent where there is no such proof, and where `read` finds nothing."""

    def make(absent: object) -> Run[Facts]:
        def run(facts: Facts) -> object:
            held = proof(facts.principal)
            if held is None:
                return absent
            found = read(held)
            return absent if found is None else found

        return run

    return Field(kind, make)


def _workload(kind: Kind, read: Callable[[Workload], object]) -> Field[Facts]:
    return _of(lambda principal: principal.workload, kind, read)


def _user(kind: Kind, read: Callable[[User], object]) -> Field[Facts]:
    return _of(lambda principal: principal.user, kind, read)


def _record(members: Mapping[str, Field[Facts] | Record[Facts]]) -> Record[Facts]:
    """A record that is as a whole what of its members is there."""
    gone = object()
    runs = {name: held.make(gone) if isinstance(held, Field) else held.whole for name, held in members.items()}

    def whole(facts: Facts) -> Mapping[str, object]:
        found = {name: run(facts) for name, run in runs.items()}
        return {name: value for name, value in found.items() if value is not gone and value != {}}

    return record(members, whole)


def _path_of(workload: Workload) -> str | None:
    """The path of a SPIFFE id."""
    if not workload.id.startswith(_SPIFFE):
        return None
    return "/" + workload.id.removeprefix(_SPIFFE).partition("/")[2]


_METHOD: Field[Facts] = always(Kind.STRING, lambda facts: facts.method)
_PATH: Field[Facts] = always(Kind.STRING, lambda facts: facts.ctx.path)
_HOST: Field[Facts] = always(Kind.STRING, lambda facts: facts.ctx.host)
_PSEUDO: dict[str, Field[Facts]] = {"host": _HOST, ":authority": _HOST, ":method": _METHOD, ":path": _PATH}
_TOKEN_CLAIMS = {"scopes": (("scope",), ("scp",)), "audiences": (("aud",),)}

VARIABLES: Variables[Facts] = {
    "request": _record(
        {
            "method": _METHOD,
            "path": _PATH,
            "host": _HOST,
            "headers": Record(_header, _headers),
            "query": Field(Kind.STRING, _query),
            "time": always(Kind.TIMESTAMP, lambda facts: timestamp_of_seconds(facts.ctx.time)),
        }
    ),
    "claims": Record(_claim, lambda facts: facts.claims),
    "token": _record(
        {
            "issuer": _user(Kind.STRING, lambda user: user.issuer_name),
            "subject": _user(Kind.STRING, lambda user: user.subject),
            "audiences": _user(Kind.LIST, lambda user: list(strings(user.claims.get("aud")))),
            "scopes": _user(Kind.LIST, lambda user: sorted(scopes(user))),
            "expires": _user(Kind.TIMESTAMP, lambda user: timestamp_of_seconds(user.expires)),
        }
    ),
    "workload": _record(
        {
            "id": _workload(Kind.STRING, lambda workload: workload.id),
            "spiffe_id": _workload(
                Kind.STRING, lambda workload: workload.id if workload.id.startswith(_SPIFFE) else None
            ),
            "trust_domain": _workload(Kind.STRING, lambda workload: workload.trust_domain),
            "path": _workload(Kind.STRING, _path_of),
            "namespace": _workload(Kind.STRING, lambda workload: workload.namespace),
            "service_account": _workload(Kind.STRING, lambda workload: workload.service_account),
            "cert": _record(
                {
                    "fingerprint": _workload(Kind.STRING, lambda workload: workload.fingerprint),
                    "subject": _workload(Kind.STRING, lambda workload: workload.subject),
                    "dns_names": _workload(Kind.LIST, lambda workload: list(workload.dns_names)),
                    "not_after": _workload(Kind.TIMESTAMP, lambda workload: timestamp_of_seconds(workload.not_after)),
                }
            ),
        }
    ),
    "device": Record(_fact, _device),
    "client": _record({"ip": always(Kind.STRING, lambda facts: _address(facts.ctx.client_ip))}),
    "route": always(Kind.STRING, lambda facts: facts.route.name),
}
