"""`@noun`: an immutable, slotted record.

The type checker holds immutability (`frozen_default`), which costs nothing at run time. A really frozen dataclass pays
`object.__setattr__` for each field: about 2 us for a noun of 15 fields, several times a request.
With GATEWAY_FROZEN=1 (the tests set it) nouns are frozen for real, so that a change behind the checker's back is found.
They have no hash either way: what is a key of something is a frozen dataclass.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")
_FROZEN = os.environ.get("GATEWAY_FROZEN") == "1"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def noun(cls: type[_T]) -> type[_T]:
    """Make `cls` a slotted record that nobody changes."""
    make: Callable[[type[_T]], type[_T]] = dataclass(slots=True, frozen=_FROZEN)
    made = make(cls)
    made.__hash__ = None  # type: ignore[assignment]  # as where it is not frozen
    return made
