"""Who may do what: rules, and the policies that hold rules across routes (contract section 3).

`from` and `to` are lists of mappings, of which one must match; within a mapping all keys must.
An empty tuple means that the file does not ask; a list in the file is never empty.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from gateway.config.document import Block
from gateway.config.schema.base import Node
from gateway.config.schema.scalars import Cidr, Integer, Method, Name, NonEmpty, OneOrSome, Some

Action: TypeAlias = Literal["allow", "deny", "audit"]
Mode: TypeAlias = Literal["enforce", "shadow"]
Port: TypeAlias = Annotated[Integer, Field(ge=1, le=65535)]


class Source(Node):
    """Where a request comes from."""

    principals: Some[NonEmpty] = ()
    not_principals: Some[NonEmpty] = ()
    namespaces: Some[NonEmpty] = ()
    not_namespaces: Some[NonEmpty] = ()
    service_accounts: Some[NonEmpty] = ()
    not_service_accounts: Some[NonEmpty] = ()
    trust_domains: Some[NonEmpty] = ()
    not_trust_domains: Some[NonEmpty] = ()
    request_principals: Some[NonEmpty] = ()
    not_request_principals: Some[NonEmpty] = ()
    issuers: Some[NonEmpty] = ()
    not_issuers: Some[NonEmpty] = ()
    ip_blocks: Some[Cidr] = ()
    not_ip_blocks: Some[Cidr] = ()
    remote_ip_blocks: Some[Cidr] = ()
    not_remote_ip_blocks: Some[Cidr] = ()


class Operation(Node):
    """What a request asks for."""

    hosts: Some[NonEmpty] = ()
    not_hosts: Some[NonEmpty] = ()
    ports: Some[Port] = ()
    not_ports: Some[Port] = ()
    methods: Some[Method] = ()
    not_methods: Some[Method] = ()
    paths: Some[NonEmpty] = ()
    not_paths: Some[NonEmpty] = ()


# Istio's attributes, and how many names in brackets each takes.
ATTRIBUTES: dict[str, tuple[int, int]] = {
    "request.headers": (1, 1),
    "request.auth.principal": (0, 0),
    "request.auth.audiences": (0, 0),
    "request.auth.presenter": (0, 0),
    "request.auth.claims": (1, 16),
    "source.ip": (0, 0),
    "source.namespace": (0, 0),
    "source.principal": (0, 0),
    "source.serviceAccount": (0, 0),
    "source.trustDomain": (0, 0),
    "remote.ip": (0, 0),
    "destination.ip": (0, 0),
    "destination.port": (0, 0),
    "connection.sni": (0, 0),
}


def condition_key(text: str) -> tuple[str, tuple[str, ...]]:
    """`request.auth.claims[a][b]` as its attribute and the names in brackets. Raises ValueError."""
    attribute, bracket, rest = text.partition("[")
    names: tuple[str, ...] = ()
    if bracket:
        if not rest.endswith("]"):
            raise ValueError(f"{text!r}: a bracket is not closed")
        names = tuple(rest[:-1].split("]["))
    if attribute not in ATTRIBUTES:
        raise ValueError(f"{text!r} is no attribute that a condition can ask for: one of {', '.join(ATTRIBUTES)}")
    least, most = ATTRIBUTES[attribute]
    if any(not name or "[" in name or "]" in name for name in names) or not least <= len(names) <= most:
        example = f"{attribute}[NAME]" if least else attribute
        raise ValueError(f"{text!r}: write {example}")
    return attribute, names


def _known_key(text: str) -> str:
    condition_key(text)
    return text


class Condition(Node):
    """One entry of `when`: an attribute and the values that it must, or must not, have."""

    key: Annotated[NonEmpty, AfterValidator(_known_key)]
    values: Some[NonEmpty] = ()
    not_values: Some[NonEmpty] = ()

    @property
    def attribute(self) -> str:
        """The key without its brackets: one of ATTRIBUTES."""
        return condition_key(self.key)[0]

    @property
    def names(self) -> tuple[str, ...]:
        """What stands in its brackets: a header's name, or the way to a claim."""
        return condition_key(self.key)[1]


class Rule(Node):
    """`from` AND `to` AND all of `when`."""

    name: Name = ""
    """Default: ROUTE.allow[0], ROUTE.deny[0] or POLICY[0]."""
    mode: Mode = "enforce"
    """shadow: judged, counted and recorded; never decides."""
    from_: OneOrSome[Source] = Field(default=(), validation_alias="from", serialization_alias="from")
    to: OneOrSome[Operation] = ()
    when: Some[Condition] = ()


def name_rules(data: Any, key: str, prefix: str) -> Any:
    """The mapping `data` with a name for each unnamed rule of its list `key`: `PREFIX[0]`, then `PREFIX[1]`."""
    rules = data.get(key) if isinstance(data, dict) else None
    if not isinstance(rules, list | tuple):
        return data
    named = [
        rule.copied(values={"name": f"{prefix}[{index}]"}) if isinstance(rule, Block) and "name" not in rule else rule
        for index, rule in enumerate(rules)
    ]
    return data.copied(values={key: named}) if isinstance(data, Block) else data


class Policy(Node):
    """Rules across routes."""

    name: Name
    action: Action
    mode: Mode = "enforce"
    routes: Some[NonEmpty] = ("*",)
    """Names of routes, or patterns over them."""
    listeners: Some[Name] = ()
    """Only requests of these listeners; default: all."""
    rules: Some[Rule]

    @model_validator(mode="before")
    @classmethod
    def _name_rules(cls, data: Any) -> Any:
        return name_rules(data, "rules", str(data.get("name", "")) if isinstance(data, dict) else "")
