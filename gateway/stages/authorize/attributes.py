"""The attributes that rules ask about: where each is found, and what its patterns may be.

An attribute is read as the tuple of its values, None where it is absent: absent is not the same as empty.
Numbers and booleans of a token are no strings and match no pattern (contract section 3).
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias

from gateway.kernel.patterns.hosts import compile_hosts
from gateway.kernel.patterns.paths import compile_paths
from gateway.kernel.patterns.values import Match, compile_values
from gateway.model.json import JSON
from gateway.model.noun import noun
from gateway.model.principal import User
from gateway.stages.authorize.facts import Facts

Read: TypeAlias = Callable[[Facts], tuple[str, ...] | None]


@noun
class Attribute:
    """One attribute whose values are strings."""

    read: Read
    compile: Callable[[Sequence[str]], Match]  # raises ValueError
    repeats: bool = False  # a field that a client may repeat to mislead: see `clauses`
    single: bool = True  # never more than one value


def workload_id(facts: Facts) -> tuple[str, ...] | None:
    """`spiffe://…` or `dns:…` of the client certificate."""
    workload = facts.principal.workload
    return None if workload is None else (workload.id,)


def trust_domain(facts: Facts) -> tuple[str, ...] | None:
    """The trust domain of a SPIFFE id."""
    workload = facts.principal.workload
    return None if workload is None or workload.trust_domain is None else (workload.trust_domain,)


def namespace(facts: Facts) -> tuple[str, ...] | None:
    """NAMESPACE of a SPIFFE id `/ns/NAMESPACE/sa/ACCOUNT`."""
    workload = facts.principal.workload
    return None if workload is None or workload.namespace is None else (workload.namespace,)


def service_account(facts: Facts) -> tuple[str, ...] | None:
    """`NAMESPACE/ACCOUNT` of such an id."""
    workload = facts.principal.workload
    if workload is None or workload.namespace is None or workload.service_account is None:
        return None
    return (f"{workload.namespace}/{workload.service_account}",)


def issuer(facts: Facts) -> tuple[str, ...] | None:
    """The issuer's name in the file."""
    user = facts.principal.user
    return None if user is None else (user.issuer_name,)


def host(facts: Facts) -> tuple[str, ...] | None:
    """Lower case, without port and trailing dot."""
    return (facts.ctx.host,)


def path(facts: Facts) -> tuple[str, ...] | None:
    """The normalised path, without the query."""
    return (facts.ctx.path,)


def method(facts: Facts) -> tuple[str, ...] | None:
    """The method that is judged."""
    return (facts.method,)


def sni(facts: Facts) -> tuple[str, ...] | None:
    """The server name of the handshake."""
    tls = facts.ctx.connection.tls
    return None if tls is None or tls.sni is None else (tls.sni,)


_PSEUDO: dict[str, Read] = {"host": host, ":authority": host, ":method": method, ":path": path}


def header_name(name: str) -> str:
    """A field's name, or a pseudo-field's that is judged, in lower case. Raises ValueError."""
    name = name.lower()
    if name not in _PSEUDO and (
        not name or name.startswith(":") or not name.isascii() or not name.isprintable() or " " in name
    ):
        raise ValueError(f'"{name}" is no header name')
    return name


def header(name: str) -> Attribute:
    """Every value of a field. `host` and the pseudo-fields are read as they are judged, not as they were sent (H7)."""
    name = header_name(name)
    if name in _PSEUDO:
        return Attribute(_PSEUDO[name], compile_hosts if _PSEUDO[name] is host else compile_values)
    return Attribute(lambda facts: facts.ctx.values.get(name), compile_values, repeats=True, single=False)


def claim(keys: Sequence[str], space_delimited: Mapping[str, frozenset[str]]) -> Attribute:
    """A claim by its way through nested objects: a string, the strings of a list, or the words of a delimited claim.

    `space_delimited`: by issuer name, the top-level claims that are split at spaces.
    """
    if not keys or not all(keys):
        raise ValueError("a claim has a name: write request.auth.claims[NAME]")
    first, rest = keys[0], tuple(keys[1:])

    def read(facts: Facts) -> tuple[str, ...] | None:
        user = facts.principal.user
        if user is None or first not in user.claims:
            return None
        value: JSON = user.claims[first]
        for key in rest:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        if not rest and isinstance(value, str) and first in space_delimited.get(user.issuer_name, ()):
            return tuple(word for word in value.split(" ") if word)
        return strings(value)

    return Attribute(read, compile_values, single=False)


def strings(value: JSON) -> tuple[str, ...]:
    """The strings of a claim: itself, or those in a list."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence):
        return tuple(each for each in value if isinstance(each, str))
    return ()


def scopes(user: User) -> frozenset[str]:
    """The exact words of `scope`, and of `scp` as some issuers write it (RFC 6749 section 3.3, J28)."""
    granted: set[str] = set()
    for name in ("scope", "scp"):
        for text in strings(user.claims.get(name)):
            granted.update(text.split(" "))
    return frozenset(granted)


def compile_principals(patterns: Sequence[str]) -> Match:
    """Workload ids stand whole in a file. Raises ValueError."""
    for pattern in patterns:
        if not pattern.startswith(("spiffe://", "dns:", "*")):
            raise ValueError(
                f'"{pattern}": principals are written whole: write "spiffe://{pattern}" or "dns:{pattern}"'
            )
    return compile_values(patterns)


def compile_service_accounts(values: Sequence[str]) -> Match:
    """`NAMESPACE/ACCOUNT`, literally: a dot is a dot (Z12). Raises ValueError."""
    for value in values:
        space, slash, account = value.partition("/")
        if not (space and slash and account) or "/" in account or "*" in value:
            raise ValueError(f'"{value}": write a service account as NAMESPACE/ACCOUNT, without "*"')
    return frozenset(values).__contains__


def compile_trust_domains(patterns: Sequence[str]) -> Match:
    """Raises ValueError for what is no trust domain."""
    for pattern in patterns:
        if "/" in pattern or ":" in pattern:
            raise ValueError(f'"{pattern}": write the trust domain alone, like "cluster.local"')
    return compile_values(patterns)


def compile_methods(methods: Sequence[str]) -> Match:
    """Methods, literally; `*` is every one."""
    return bool if "*" in methods else frozenset(methods).__contains__


def compile_sni(patterns: Sequence[str]) -> Match:
    """Server names in any case. Raises ValueError."""
    return compile_values(patterns, ignore_case=True)


SOURCE: dict[str, Attribute] = {
    "principals": Attribute(workload_id, compile_principals),
    "namespaces": Attribute(namespace, compile_values),
    "service_accounts": Attribute(service_account, compile_service_accounts),
    "trust_domains": Attribute(trust_domain, compile_trust_domains),
    "request_principals": Attribute(attrgetter("request_principal"), compile_values),
    "issuers": Attribute(issuer, compile_values),
}
OPERATION: dict[str, Attribute] = {
    "hosts": Attribute(host, compile_hosts),
    "methods": Attribute(method, compile_methods),
    "paths": Attribute(path, compile_paths),
}
CONDITION: dict[str, Attribute] = {
    "request.auth.principal": SOURCE["request_principals"],
    "source.namespace": SOURCE["namespaces"],
    "source.principal": SOURCE["principals"],
    "source.serviceAccount": SOURCE["service_accounts"],
    "source.trustDomain": SOURCE["trust_domains"],
    "connection.sni": Attribute(sni, compile_sni),
}
