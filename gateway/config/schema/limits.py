"""How often: `rate_limits`.

A limit counts by the parts of its key; an empty key is one bucket for all.
`on_store_failure` says what happens while the store cannot answer.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from gateway.config.schema.base import Named, Node
from gateway.config.schema.scalars import Cidr, Integer, Name, NonEmpty, OneOrSome, RateText, Some

KEY_PARTS = ("principal", "issuer", "workload", "client_ip", "route", "upstream", "header:", "claim:")
BY_IDENTITY = ("principal", "issuer", "workload", "claim:")  # known only after authentication


def _key_part(text: str) -> str:
    for part in KEY_PARTS:
        if text == part and not part.endswith(":"):
            return text
        if part.endswith(":") and text.startswith(part) and text != part:
            return text
    raise ValueError(
        f"{text!r} is no part of a key: write one of {', '.join(KEY_PARTS[:-2])}, header:NAME or claim:NAME"
    )


KeyPart: TypeAlias = Annotated[NonEmpty, AfterValidator(_key_part)]


class OverrideMatch(Node):
    """Whom an override is for: all that is asked has to hold, and one thing at least is asked."""

    principals: Some[NonEmpty] = ()
    """Value patterns over the certificate's identity."""
    request_principals: Some[NonEmpty] = ()
    """Value patterns over `iss/sub`."""
    issuers: Some[NonEmpty] = ()
    """Names of this file."""
    claims: dict[NonEmpty, OneOrSome[NonEmpty]] = Field(default_factory=dict)
    """Value patterns by the name of a claim; of a list one element has to match."""
    remote_ip_blocks: Some[Cidr] = ()
    """The client behind trusted proxies."""

    @property
    def by_identity(self) -> bool:
        """True when it asks who is calling."""
        return bool(self.principals or self.request_principals or self.issuers or self.claims)


class Override(Node):
    """Other numbers for some callers; what it does not say stays as the limit has it."""

    match: OverrideMatch
    rate: OneOrSome[RateText] = ()
    concurrency: Annotated[Integer, Field(ge=1)] | None = None
    burst: Annotated[Integer, Field(ge=1)] | None = None


class RateLimit(Named):
    """One limit, shared by all that name it: a rate, a number of requests at once, or both."""

    rate: OneOrSome[RateText] = ()
    """One rate, or several that hold together: [10/second, 1000/day]."""
    concurrency: Annotated[Integer, Field(ge=1)] | None = None
    """Requests at once, each from its gate to the end of its answer."""
    algorithm: Literal["fixed_window", "sliding_window", "token_bucket"] = "sliding_window"
    burst: Annotated[Integer, Field(ge=1)] | None = None
    """Of a token bucket: how many requests may come at once; default: the rate's count."""
    key: tuple[KeyPart, ...] = ("principal",)
    fair: bool = False
    """No principal takes more than its share of a bucket while others ask for it."""
    lease: Annotated[Integer, Field(ge=2)] | None = None
    """Requests that a process takes from the store at once, to admit by itself."""
    mode: Literal["enforce", "shadow"] = "enforce"
    """shadow: counts in its own bucket, is told in metrics and audit, and never refuses."""
    on_store_failure: Literal["local", "allow", "deny"] = "local"
    overrides: Some[Override] = ()
    """The first that matches replaces the numbers for its callers."""

    @property
    def by_identity(self) -> bool:
        """True when the key asks who is calling."""
        return any(part.startswith(BY_IDENTITY) for part in self.key)

    @property
    def by_address(self) -> bool:
        """True when it runs before authentication (contract section 4)."""
        return "client_ip" in self.key and not self.by_identity

    def numbers_of(self, which: int) -> str:
        """What it allows under the override of this number (-1: none): `10/second, 1000/day, 5 at once`."""
        rates, concurrency = self.rate, self.concurrency
        if which >= 0:
            override = self.overrides[which]
            rates = override.rate or rates
            concurrency = override.concurrency if override.concurrency is not None else concurrency
        return ", ".join([*map(str, rates), *([f"{concurrency} at once"] if concurrency is not None else [])])


class LimitUse(Node):
    """A limit that a route is under, and what one of its requests costs there."""

    limit: Name
    cost: Annotated[Integer, Field(ge=1)] = 1
    """Of a rate: requests that it counts as. A request is always one of those at once."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"limit": data} if isinstance(data, str) else data

    def short(self) -> str | None:
        return self.limit if self.cost == 1 else None
