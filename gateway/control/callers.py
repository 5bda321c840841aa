"""The callers that a rule names: each value of `from` as somebody who may come, and what is known of them.

A pattern stands for many; what it leaves open is never decided. A name that no configured authority vouches for is
nobody: who bears it cannot prove it here.
"""

from collections.abc import Iterator, Sequence

from gateway.config.schema import Config, Listener
from gateway.control.evidence import assumed_judge
from gateway.kernel.patterns.values import Kind, compile_values, parse_value
from gateway.model.noun import noun
from gateway.model.principal import User, Workload
from gateway.stages.authenticate.claims import FOREVER
from gateway.stages.authorize import Clause, Facts

_PRINCIPAL = ("from.principals", "when source.principal")
_ACCOUNT = ("from.service_accounts", "when source.serviceAccount")
_NAMESPACE = ("from.namespaces", "when source.namespace")
_TRUST_DOMAIN = ("from.trust_domains", "when source.trustDomain")
_REQUEST_PRINCIPAL = ("from.request_principals", "when request.auth.principal")
_ISSUER = ("from.issuers",)
_USER = (_REQUEST_PRINCIPAL, _ISSUER)
_WORKLOAD = (_PRINCIPAL, _ACCOUNT, _NAMESPACE, _TRUST_DOMAIN)


def _keys(*groups: tuple[str, ...]) -> frozenset[str]:
    """The keys and their negated forms."""
    keys = [key for group in groups for key in group]
    return frozenset(keys + [key.replace("from.", "from.not_") for key in keys] + [f"{key} not" for key in keys])


OF_WORKLOADS, _OF_USERS = _keys(*_WORKLOAD), _keys(*_USER)


_PROOFS = ("claims", "token", "workload", "device", "route")
_OF_THE_LINE = (("request", "method"), ("request", "path"), ("request", "host"))


@noun
class Caller:
    """Somebody, or everybody of a kind. `workload` and `user` are patterns over ids; None: nothing is known."""

    name: str
    kind: str
    workload: str | None = None
    user: str | None = None
    known_workload: Workload | None = None  # where the pattern is one id
    known_user: User | None = None

    def decides(self, clause: Clause, facts: Facts) -> bool | None:
        """Whether `clause` holds for this caller; None where it hangs on something else. `facts`: of this caller."""
        if clause.key in OF_WORKLOADS:
            return self._decided(clause, facts, self.workload, self.known_workload is not None, _PRINCIPAL)
        if clause.key in _OF_USERS:
            return self._decided(clause, facts, self.user, self.known_user is not None, _REQUEST_PRINCIPAL)
        if self.kind == "anyone" and (clause.key.startswith("when request.auth.") or _of_the_caller(clause)):
            return clause.test(facts)
        return None

    def _decided(
        self, clause: Clause, facts: Facts, pattern: str | None, known: bool, keys: tuple[str, ...]
    ) -> bool | None:
        if known or self.kind == "anyone":
            return clause.test(facts)
        if pattern is None or clause.key not in _keys(keys):
            return None
        negated = ".not_" in clause.key or clause.key.endswith(" not")
        if any(_covers(value, pattern) for value in clause.values):
            return not negated
        return negated if all(_apart(value, pattern) for value in clause.values) else None


def _of_the_caller(clause: Clause) -> bool:
    """True of an expression that reads nothing but proofs, of which there are none, and the request's line."""
    if clause.expression is None:
        return False
    return all(path[0] in _PROOFS or path in _OF_THE_LINE for path in clause.expression.reads)


ANY = Caller("*", "any")
ANYONE = Caller("*", "anyone")


def callers(
    config: Config, listener: Listener, clauses: Sequence[Clause], unnamed: Caller
) -> Iterator[tuple[Caller, list[Clause]]]:
    """Whom `clauses` name, with the clauses that are left to ask of each; `unnamed` where they name nobody.

    The user is named where there is one, else the workload: the caller of the contract.
    """
    for keys in (*_USER, *_WORKLOAD):
        naming = next((clause for clause in clauses if clause.key in keys), None)
        if naming is None:
            continue
        rest = [clause for clause in clauses if clause is not naming]
        for value in naming.values:
            caller = _user(config, keys, value) if keys in _USER else _workload(config, listener, keys, value)
            if caller is not None:
                yield caller, rest
        return
    yield unnamed, list(clauses)


def _user(config: Config, keys: tuple[str, ...], value: str) -> Caller | None:
    if keys is _ISSUER:
        issuer = config.issuers.get(value)
        return Caller(f"{issuer.issuer}/*", "user", user=f"{issuer.issuer}/*") if issuer is not None else None
    kind, _ = parse_value(value)
    patterns = [(issuer, f"{issuer.issuer}/*") for issuer in config.issuers.values()]
    if kind is not Kind.EXACT:
        reached = any(not _apart(value, pattern) for _, pattern in patterns)
        return Caller(value, "user", user=value) if reached else None
    for issuer, pattern in patterns:
        if _covers(pattern, value):
            subject = value.removeprefix(f"{issuer.issuer}/")
            known = User(issuer.issuer, issuer.name, subject, {"iss": issuer.issuer, "sub": subject}, FOREVER)
            return Caller(value, "user", user=value, known_user=known)
    return None


def _workload(config: Config, listener: Listener, keys: tuple[str, ...], value: str) -> Caller | None:
    if listener.tls is None or listener.tls.client_certificate == "none":
        return None
    if keys is _PRINCIPAL:
        return _principal(config, value)
    if keys is _TRUST_DOMAIN:
        if not any(compile_values([value])(name) for name in config.trust_domains):
            return None
        pattern = f"spiffe://{value}/*" if parse_value(value)[0] is Kind.EXACT else None
        return Caller(pattern or ("*" if value == "*" else f"spiffe://{value}/*"), "workload", workload=pattern or "*")
    if not config.trust_domains:
        return None
    path = f"ns/{value}/sa/*" if keys is _NAMESPACE else "ns/{}/sa/{}".format(*value.split("/"))
    if len(config.trust_domains) > 1:
        return Caller(f"spiffe://*/{path}", "workload", workload="*")
    return _principal(config, f"spiffe://{next(iter(config.trust_domains))}/{path}")


def _principal(config: Config, value: str) -> Caller | None:
    kind, literal = parse_value(value)
    if kind is Kind.EXACT:
        judge = assumed_judge(config, value)
        known = judge.presented()
        if known is None or not judge.vouched(known):
            return None
        return Caller(value, "workload", workload=value, known_workload=known)
    if kind is Kind.PREFIX and literal.startswith("spiffe://"):
        domain, slash, _ = literal.removeprefix("spiffe://").partition("/")
        reached = [name for name in config.trust_domains if name == domain or (not slash and name.startswith(domain))]
        return Caller(value, "workload", workload=value) if reached else None
    if kind is Kind.PREFIX and not config.client_authorities and not "spiffe://".startswith(literal):
        return None
    return Caller(value, "workload", workload=value)


def _covers(wide: str, narrow: str) -> bool:
    """Every value that `narrow` matches, `wide` matches too."""
    (kind, text), (other, literal) = parse_value(wide), parse_value(narrow)
    match kind:
        case Kind.PRESENT:
            return True
        case Kind.PREFIX:
            return other in (Kind.EXACT, Kind.PREFIX) and literal.startswith(text)
        case Kind.SUFFIX:
            return other in (Kind.EXACT, Kind.SUFFIX) and literal.endswith(text)
    return other is Kind.EXACT and literal == text


def _apart(one: str, other: str) -> bool:
    """No value is matched by both."""
    (kind, text), (second, literal) = parse_value(one), parse_value(other)
    if Kind.PRESENT in (kind, second):
        return False
    if kind is Kind.EXACT:
        return not compile_values([other])(text)
    if second is Kind.EXACT:
        return not compile_values([one])(literal)
    if kind is second is Kind.PREFIX:
        return not (text.startswith(literal) or literal.startswith(text))
    if kind is second is Kind.SUFFIX:
        return not (text.endswith(literal) or literal.endswith(text))
    return False
