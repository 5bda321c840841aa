"""What every source of facts is, and what it says.

A device that a source does not know is None; a source that cannot say is Unavailable, never the caller's fault.
"""

from collections.abc import Awaitable
from typing import Protocol

from gateway.kernel.cel import observed_at
from gateway.model.json import Claims
from gateway.model.noun import noun
from gateway.model.principal import Principal

NEVER = float("-inf")  # when something was observed that does not say it in a way that can be read


class Unavailable(Exception):  # noqa: N818 - what the source is
    """The source cannot say anything now. The text is for the log and names no device."""


@noun
class Known:
    """Facts about one device."""

    facts: Claims
    observed: float  # seconds since the epoch


class Source(Protocol):
    """Where facts come from."""

    def __call__(self, device: str, principal: Principal, now: float) -> Awaitable[Known | None]:
        """The facts about `device`; None where it is not known. Raises Unavailable."""
        ...


def known(facts: Claims, otherwise: float) -> Known:
    """Facts, as of when they say (`observed_at`: RFC 3339, or seconds since the epoch), else another."""
    if "observed_at" not in facts:
        return Known(facts, otherwise)
    said = facts["observed_at"]
    if isinstance(said, str):
        return Known(facts, observed_at(said, NEVER))
    return Known(facts, float(said) if isinstance(said, int | float) and not isinstance(said, bool) else NEVER)
