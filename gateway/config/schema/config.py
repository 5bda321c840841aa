"""The whole file as one immutable object.

Names are resolved, relative paths are absolute, defaults are filled in: what stands here is what is in force.
`digest`, `path` and `warnings` come from the loader.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, SkipValidation
from pydantic.json_schema import SkipJsonSchema

from gateway.config.problem import Problem
from gateway.config.schema.audit import Audit
from gateway.config.schema.base import Node
from gateway.config.schema.grants import Granted, Grants
from gateway.config.schema.issuers import Issuer
from gateway.config.schema.limits import RateLimit
from gateway.config.schema.listeners import Admin, Listener
from gateway.config.schema.posture import Posture
from gateway.config.schema.routes import DataClass, Route
from gateway.config.schema.rules import Policy
from gateway.config.schema.scalars import FilePath, Integer, Name, Secret, Some
from gateway.config.schema.trust import Assertion, ClientAuthority, Identity, TrustDomain
from gateway.config.schema.upstreams import Upstream


class Log(Node):
    """The program's own log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


def _always() -> Any:
    """An empty mapping, judged like one of the file: its paths are relative to the file too."""
    return {}


class Config(Node):
    """routes.yaml."""

    version: Literal[1]
    workers: Annotated[Integer, Field(ge=1, le=256)] = 1
    """Processes that serve, each with its own loop."""
    state_dir: FilePath = Field(default=Path("var/state"), validate_default=True)
    """Admin token, last good keys."""
    log: Log = Field(default_factory=Log)
    listeners: Annotated[dict[Name, Listener], Field(min_length=1)]
    admin: Admin | None = None
    store: Secret = SecretStr("memory://")
    """memory://, or redis://, rediss://, redis+unix://, redis+sentinel://, redis+cluster://; it may hold a password."""
    identity: Identity | None = None
    trust_domains: dict[Name, TrustDomain] = Field(default_factory=dict)
    client_authorities: dict[Name, ClientAuthority] = Field(default_factory=dict)
    issuers: dict[Name, Issuer] = Field(default_factory=dict)
    posture: dict[Name, Posture] = Field(default_factory=dict)
    rate_limits: dict[Name, RateLimit] = Field(default_factory=dict)
    upstreams: dict[Name, Upstream] = Field(default_factory=dict)
    classes: dict[Name, DataClass] = Field(default_factory=dict)
    """Classes of data (`routes.*.classification`), each with what it requires."""
    policies: tuple[Policy, ...] = ()
    grants: Grants | None = None
    """Who may sign just-in-time grants, which stand in grants.yaml beside this file."""
    routes: Some[Route]
    assertion: Assertion | None = None
    audit: Audit = Field(default_factory=_always, validate_default=True)

    path: Annotated[SkipValidation[Path], SkipJsonSchema()] = Field(
        default=Path(), validation_alias="\0path", exclude=True
    )
    """The file, as it was named."""
    digest: Annotated[SkipValidation[str], SkipJsonSchema()] = Field(
        default="", validation_alias="\0digest", exclude=True
    )
    """SHA-256 of the file's bytes, hex."""
    granted: Annotated[SkipValidation[tuple[Granted, ...]], SkipJsonSchema()] = Field(
        default=(), validation_alias="\0granted", exclude=True
    )
    """What grants.yaml grants, verified."""
    warnings: Annotated[SkipValidation[tuple[Problem, ...]], SkipJsonSchema()] = Field(
        default=(), validation_alias="\0warnings", exclude=True
    )
    """What is valid and still looks wrong."""
