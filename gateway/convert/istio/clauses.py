"""The values of one key of a rule, carried so that what is lost never allows more.

A value that no request can have falls away and changes nothing. Any other value that cannot be carried takes its clause
with it: out of an ALLOW rule goes the whole alternative, out of a DENY rule only the clause, so that it denies more.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from ipaddress import ip_network

from gateway.convert.fields import Fields, Item
from gateway.kernel.patterns.paths import compile_paths
from gateway.kernel.patterns.templates import is_template
from gateway.kernel.patterns.values import Kind, compile_values, parse_value
from gateway.model.methods import KNOWN_METHODS, NOT_IN_ANY
from gateway.stages.authorize.attributes import (
    compile_principals,
    compile_service_accounts,
    compile_trust_domains,
)
from gateway.stages.authorize.clauses import compile_condition

SCHEME = "spiffe://"


class Known(Enum):
    """What became of a clause, where it is not a list of values any more."""

    TRUE = "it asks nothing"
    FALSE = "it never holds"


class NeverSeen(ValueError):  # noqa: N818 - it is what became of the value
    """No request that is judged here has this value, so it may fall away."""


Carry = Callable[[str], Sequence[str]]  # one value into those of ours; raises ValueError or NeverSeen
Clause = list[str] | Known


def carry(fields: Fields, key: str, one: Carry, *, negated: bool, grants: bool) -> Clause:
    """The values under `key`; what of them is lost is said. `grants`: the rule allows."""
    items = fields.items(key)
    unknown = Known.FALSE if grants else Known.TRUE
    if items is None:
        return unknown
    if not items:
        fields.lose(key, "an empty list is an error here: leave the key out, or write a value")
        return unknown
    values: list[str] = []
    lost = False
    for item in items:
        try:
            values += one(item.value)
        except NeverSeen as why:
            _lose(fields, item, str(why))
        except ValueError as why:
            _lose(fields, item, str(why))
            lost = True
    if lost and negated is grants:
        return unknown
    if not values:
        return Known.TRUE if negated else Known.FALSE
    return list(dict.fromkeys(values))


def _lose(fields: Fields, item: Item, why: str) -> None:
    fields.report.lose(item.where, fields.resource, item.path, why)


def principal(value: str) -> Sequence[str]:
    """Istio leaves `spiffe://` away; here an identity is written whole (Z6)."""
    if value.startswith(SCHEME):
        raise ValueError("Istio writes principals without spiffe://, so this one matches nothing there: leave it away")
    whole = value if value.startswith("*") else SCHEME + value
    compile_principals([whole])
    return (whole,)


def text(value: str) -> Sequence[str]:
    """A value pattern, the same in both."""
    compile_values([value])
    return (value,)


def trust_domain(value: str) -> Sequence[str]:
    """A pattern over trust domains."""
    compile_trust_domains([value])
    return (value,)


def service_account(namespace: str | None) -> Carry:
    """`ACCOUNT` is one of the policy's own namespace."""

    def one(value: str) -> Sequence[str]:
        if "/" not in value and namespace is None:
            raise ValueError(f'the policy names no namespace, so whose "{value}" is it? Write NAMESPACE/{value}')
        whole = value if "/" in value else f"{namespace}/{value}"
        compile_service_accounts([whole])
        return (whole,)

    return one


def block(value: str) -> Sequence[str]:
    """An address block; bits behind the prefix mean nothing to Envoy and are an error here."""
    try:
        return (str(ip_network(value, strict=False)) if "/" in value else str(ip_network(value).network_address),)
    except ValueError:
        raise ValueError(f'"{value}" is no address block') from None


def port(value: str) -> Sequence[str]:
    """A port, as a text."""
    if not (value.isascii() and value.isdigit()) or not 0 < int(value) < 65536:
        raise ValueError(f'"{value}" is no port')
    return (str(int(value)),)


def method(value: str) -> Sequence[str]:
    """A method; a pattern becomes the methods that it means among those that the gateway's parser knows."""
    if value == "*":
        return ("*",)
    match = compile_values([value])
    found = sorted(known for known in KNOWN_METHODS - NOT_IN_ANY if match(known))
    if not found:
        raise NeverSeen(f'"{value}" is no method that the gateway serves: such a request is refused before any rule')
    return found


def host(value: str) -> Sequence[str]:
    """A host pattern; ours stand without port."""
    compile_condition("request.headers[host]", [value], negated=False, deny=False, space_delimited={})
    return (value,)


def path(value: str) -> Sequence[str]:
    """A path pattern or template."""
    if not is_template(value):
        kind, literal = parse_value(value)
        if kind in (Kind.EXACT, Kind.PREFIX) and not literal.startswith("/"):
            raise NeverSeen(f'"{value}": a path begins with "/"')
    compile_paths([value])
    return (value,)
