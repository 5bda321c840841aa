"""Just-in-time grants: who may sign them (`grants` of routes.yaml), and the file of them beside it.

A grant is an ALLOW rule with an end, a reason and a signer. Nothing in it is believed before its signature is.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, SkipValidation, model_validator
from pydantic.json_schema import SkipJsonSchema

from gateway.config.document import Block, Items
from gateway.config.plain import Number
from gateway.config.schema.base import Node
from gateway.config.schema.rules import Operation, Rule, Source, When
from gateway.config.schema.scalars import Duration, FilePath, Name, NonEmpty, OneOrSome, Some
from gateway.model.json import JSON
from gateway.model.noun import noun

PREFIX = b"gateway-grant/1\n"  # a signature over a grant is one over nothing else


class Grants(Node):
    """Who may grant, and for how long."""

    signers: Annotated[dict[Name, FilePath], Field(min_length=1)]
    """By name, the PEM file of an Ed25519 public key."""
    max_duration: Annotated[Duration, Field(gt=0)] = 86400.0
    """The longest time from `issued` to `until`."""


def plain(value: object) -> JSON:
    """A value of a file without its places."""
    if isinstance(value, Mapping):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple | Items):
        return [plain(held) for held in value]
    if isinstance(value, Number):
        return float(value)
    if isinstance(value, str):
        return str(value)
    return value if isinstance(value, bool | int | float) or value is None else str(value)


def signed_bytes(grant: Mapping[str, object]) -> bytes:
    """What the signature of a grant is over: all of it but the signature, as JSON with sorted keys and no spaces."""
    held = plain({key: value for key, value in grant.items() if key != "signature"})
    return PREFIX + json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _instant(value: Any) -> float:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment.timestamp()
    raise ValueError("write a time with its zone, like 2026-01-31T12:00:00Z")


Instant: TypeAlias = Annotated[float, BeforeValidator(_instant)]


class GrantedRule(Node):
    """What is allowed meanwhile: a rule as `allow` holds them, which names its callers."""

    from_: OneOrSome[Source] = Field(validation_alias="from", serialization_alias="from")
    to: OneOrSome[Operation] = ()
    when: Some[When] = ()


class Grant(Node):
    """One grant."""

    name: Name
    by: Name
    """The signer: a name of `grants.signers`."""
    routes: Some[NonEmpty]
    """Names of routes, or patterns over them."""
    rule: GrantedRule
    reason: NonEmpty
    issued: Instant
    until: Instant
    signature: NonEmpty
    """Base64url without padding: Ed25519 over the rest."""

    payload: Annotated[SkipValidation[bytes], SkipJsonSchema()] = Field(
        default=b"", validation_alias="\0payload", exclude=True
    )
    """What the signature is over."""

    @model_validator(mode="before")
    @classmethod
    def _keep(cls, data: Any) -> Any:
        return data.copied(values={"\0payload": signed_bytes(data)}) if isinstance(data, Block) else data


class GrantFile(Node):
    """grants.yaml."""

    grants: tuple[Grant, ...] = ()


def _as_it_stands(value: Any) -> Any:
    return plain(value) if isinstance(value, list) else value


class RawGrants(Node):
    """The same file, its grants as they stand: to write it again."""

    grants: Annotated[list[dict[str, Any]], BeforeValidator(_as_it_stands)] = Field(default_factory=list)


@noun
class Granted:
    """A grant whose signature holds."""

    rule: Rule  # its name is `grant:NAME`
    routes: tuple[str, ...]
    by: str
    reason: str
    begins: float  # seconds since the epoch
    ends: float
    key: Path  # of the signer
    public: bytes  # that key itself: what proved it


def granted(grant: Grant, key: Path, public: bytes) -> Granted:
    """`grant`, which `public` proved."""
    held = grant.rule
    parts = {"from_": held.from_, "to": held.to, "when": held.when, "where": grant.where}
    rule = Rule(name=f"grant:{grant.name}").replace(**parts)
    return Granted(rule, grant.routes, grant.by, grant.reason, grant.issued, grant.until, key, public)
