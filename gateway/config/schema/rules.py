"""Who may do what: rules, and the policies that hold rules across routes (contract section 3).

`from` and `to` are lists of mappings, of which one must match; within a mapping all keys must.
An empty tuple means that the file does not ask; a list in the file is never empty.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

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


class Condition(Node):
    """One entry of `when`: an attribute and the values that it must, or must not, have."""

    key: NonEmpty
    """Istio's: request.headers[NAME], request.auth.claims[NAME][NAME], source.namespace …"""
    values: Some[NonEmpty] = ()
    not_values: Some[NonEmpty] = ()


def _shape(value: object) -> str:
    return "condition" if isinstance(value, dict | Condition) else "expression"


When: TypeAlias = Annotated[
    Annotated[NonEmpty, Tag("expression")] | Annotated[Condition, Tag("condition")], Discriminator(_shape)
]


class Rule(Node):
    """`from` AND `to` AND all of `when`."""

    name: Name = ""
    """Default: ROUTE.allow[0], ROUTE.deny[0] or POLICY[0]."""
    mode: Mode = "enforce"
    """shadow: judged, counted and recorded; never decides."""
    from_: OneOrSome[Source] = Field(default=(), validation_alias="from", serialization_alias="from")
    to: OneOrSome[Operation] = ()
    when: Some[When] = ()
    """CEL strings, or attributes with the values that they must or must not have."""


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
