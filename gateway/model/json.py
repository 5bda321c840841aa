"""The type of a parsed JSON value, so that claims need no Any."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
Claims: TypeAlias = Mapping[str, JSON]
