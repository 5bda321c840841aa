"""What is served and how: `routes`, first match in file order.

A route has exactly one of `upstream`, `respond` and `redirect`.
A route that is not public answers 401 without a credential, whatever its rules say.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SkipValidation, model_validator
from pydantic.json_schema import SkipJsonSchema

from gateway.config.schema.base import Named, Node
from gateway.config.schema.limits import LimitUse
from gateway.config.schema.rules import Rule, name_rules
from gateway.config.schema.scalars import (
    AnyText,
    BodySize,
    Boolean,
    Duration,
    Integer,
    Method,
    Name,
    NonEmpty,
    OneOrSome,
    PercentText,
    Some,
    boolean,
)
from gateway.config.schema.units import Percent
from gateway.model.place import Place

_ENABLED = "\0enabled"  # an alias that no file can hold


def _by_lower_case(fields: dict[str, str]) -> dict[str, str]:
    lower = {name.lower(): pattern for name, pattern in fields.items()}
    if len(lower) < len(fields):
        raise ValueError("two names differ only in their case: they are one header")
    return lower


class Match(Node):
    """Which requests; a key that is absent asks nothing."""

    listeners: Some[Name] = ()
    hosts: Some[NonEmpty] = ()
    """Exact, `*.suffix` (one or more labels) or `*`."""
    paths: Some[NonEmpty]
    """Value patterns or path templates."""
    methods: Some[Method] = ()
    headers: Annotated[dict[NonEmpty, NonEmpty], AfterValidator(_by_lower_case)] = Field(default_factory=dict)
    """Value patterns by field name (lower case); all must match."""


class WeightedUpstream(Node):
    """A part of a route's requests."""

    upstream: Name
    weight: Annotated[Integer, Field(ge=0, le=1000000)] = 1

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"upstream": data} if isinstance(data, str) else data

    def short(self) -> str | None:
        return self.upstream if self.weight == 1 else None


class Mirror(Node):
    """Copies of some requests to another upstream, whose answers nobody sees."""

    upstream: Name
    percent: PercentText = Percent(100)


class Rewrite(Node):
    """What the backend is asked for instead."""

    prefix: NonEmpty | None = None
    """Replaces the text before `/*` of the pattern that matched."""
    path: NonEmpty | None = None
    """Replaces the whole path."""
    host: NonEmpty | None = None
    """The Host that the backend reads; never changes the identity that is verified."""


class Requires(Node):
    """Besides the rules."""

    certificate: Boolean = False
    audiences: Some[NonEmpty] = ()
    """Replaces the issuer's list on this route."""
    scopes: Some[NonEmpty] = ()
    acr: Some[NonEmpty] = ()
    """How strong the login must have been: the claim `acr` is one of these (RFC 9470)."""
    max_auth_age: Annotated[Duration, Field(gt=0)] | None = None
    """How long ago the login may have been, by the claim `auth_time` (RFC 9470)."""
    posture: Name | None = None
    """What is asked of the caller's device: a name of `posture`."""

    origins: Annotated[SkipValidation[Mapping[str, Place]], SkipJsonSchema()] = Field(
        default_factory=dict, validation_alias="\0origins", exclude=True
    )
    """By key, where what the route's class adds is stated."""

    def asked(self) -> dict[str, object]:
        """What is asked, by key, in the order in which it is judged."""
        order = ("certificate", "audiences", "acr", "max_auth_age", "posture", "scopes")
        return {key: held for key in order if (held := getattr(self, key)) not in (False, (), None)}

    def stated(self, key: str) -> Place:
        """Where a requirement is stated: the class's place where it comes from there."""
        return self.origins.get(key, self.where)


class DataClass(Named):
    """A class of data: what every route that serves it requires."""

    requires: Requires


class Asserted(Node):
    """Whether a backend is given the gateway's assertion (`true`, `false`), and what it says besides."""

    enabled: Annotated[Boolean, SkipJsonSchema()] = Field(default=True, validation_alias=_ENABLED, exclude=True)
    claims: Some[NonEmpty] = ()
    """Names of the token's claims that it repeats."""

    @model_validator(mode="before")
    @classmethod
    def _from_boolean(cls, data: Any) -> Any:
        return data if isinstance(data, dict) else {_ENABLED: data}

    def short(self) -> bool | None:
        return None if self.claims else self.enabled


class Forward(Node):
    """What a backend is told about the caller."""

    authorization: Literal["remove", "keep"] = "remove"
    assertion: Asserted = Field(default_factory=Asserted)
    """Where `assertion:` is configured, on routes that are not public."""
    headers: dict[NonEmpty, NonEmpty] = Field(default_factory=dict)
    """Field name to claim path (`claims.sub`) or quoted literal (`"'text'"`)."""
    keep: tuple[NonEmpty, ...] = ()
    """Fields let through that are removed by default because they may name another path, method or user."""
    trailers: tuple[NonEmpty, ...] = ()
    """Fields of a request's trailer section that backends are sent, where the request declared them."""


@cache  # nobody changes it, so the thousands of routes that say nothing of it share one
def _usual_forward() -> Forward:
    return Forward()


class Cors(Node):
    """Which origins' pages may read the answers."""

    origins: Some[NonEmpty]
    methods: Some[Method] = ("GET", "HEAD", "POST")
    headers: tuple[NonEmpty, ...] = ()
    expose: tuple[NonEmpty, ...] = ("WWW-Authenticate", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id")
    credentials: Boolean = False
    max_age: Duration = 600.0


def _true_is_all(value: Any) -> Any:
    if isinstance(value, dict | WebSocket) or value is None:
        return value
    return {} if boolean(value) else None


class WebSocket(Node):
    """Who may open WebSockets on a route; `true` is the mapping without keys, `false` is none."""

    origins: Some[NonEmpty] = ()
    """Whose pages may, whatever a browser sends along for its user; default: only pages of the host itself."""
    token_subprotocol: NonEmpty | None = None
    """The subprotocol behind which a browser may name its token: `bearer, TOKEN`."""

    def short(self) -> str | bool | None:
        return None if self.model_fields_set else True


class HeaderEdit(Node):
    """Fields set (replacing what was there) and removed."""

    set: dict[NonEmpty, AnyText] = Field(default_factory=dict)
    remove: tuple[NonEmpty, ...] = ()


@cache  # as above
def _no_edit() -> HeaderEdit:
    return HeaderEdit()


class Respond(Node):
    """An answer of the gateway's own."""

    status: Annotated[Integer, Field(ge=200, le=599)] = 200
    body: AnyText = ""


class Redirect(Node):
    """An answer that points elsewhere."""

    to: NonEmpty
    status: Literal[301, 302, 303, 307, 308] = 308


class Route(Node):
    """One route."""

    name: Name
    match: Match
    upstream: OneOrSome[WeightedUpstream] | None = None
    """One name, or several with weights."""
    respond: Respond | None = None
    redirect: Redirect | None = None
    public: Boolean = False
    ignore_credentials: Boolean = False
    """On a public route: credentials are dropped unread."""
    rewrite: Rewrite | None = None
    rate_limits: tuple[LimitUse, ...] = ()
    """Names of limits, or {limit: NAME, cost: N}."""
    classification: Name | None = None
    """The class of the data behind it: what `classes` requires for it is required too."""
    requires: Requires | None = None
    deny: Some[Rule] = ()
    allow: Some[Rule] = ()
    forward: Forward = Field(default_factory=_usual_forward)
    cors: Cors | None = None
    mirror: Mirror | None = None
    timeout: Annotated[Duration, Field(gt=0)] | None = None
    """Total, to the end of the answer."""
    max_body: BodySize | None = None
    """Overrides the listener's `limits.body`; UNLIMITED for `unlimited`."""
    websocket: Annotated[WebSocket | None, BeforeValidator(_true_is_all)] = None
    """true, or who may; default: nobody leaves HTTP."""
    request_headers: HeaderEdit = Field(default_factory=_no_edit)
    response_headers: HeaderEdit = Field(default_factory=_no_edit)

    @model_validator(mode="before")
    @classmethod
    def _name_rules(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        name = data.get("name", "")
        return name_rules(name_rules(data, "deny", f"{name}.deny"), "allow", f"{name}.allow")
