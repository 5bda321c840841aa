"""How often: `rate_limits`.

A limit counts by the parts of its key; an empty key is one bucket for all.
`on_store_failure` says what happens while the store cannot answer.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from gateway.config.schema.base import Named
from gateway.config.schema.scalars import Integer, NonEmpty, RateText

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


class RateLimit(Named):
    """One limit, shared by all that name it."""

    rate: RateText
    algorithm: Literal["fixed_window", "sliding_window", "token_bucket"] = "sliding_window"
    burst: Annotated[Integer, Field(ge=1)] | None = None
    """Of a token bucket: how many requests may come at once; default: the rate's count."""
    key: tuple[KeyPart, ...] = ("principal",)
    mode: Literal["enforce", "shadow"] = "enforce"
    """shadow: counts in its own bucket, is told in metrics and audit, and never refuses."""
    on_store_failure: Literal["local", "allow", "deny"] = "local"

    @property
    def by_identity(self) -> bool:
        """True when the key asks who is calling."""
        return any(part.startswith(BY_IDENTITY) for part in self.key)

    @property
    def by_address(self) -> bool:
        """True when it runs before authentication (contract section 4)."""
        return "client_ip" in self.key and not self.by_identity
