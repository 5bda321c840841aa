"""What every config object is: frozen, strict about its keys, and aware of where it stands.

A loaded mapping is a `Block`, which knows its place and the key under which it stands.
`where` and `name` come from the block: no file can set them, except where `name` is a key of the contract.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, model_validator
from pydantic.json_schema import SkipJsonSchema

from gateway.config.document import NOWHERE, Block
from gateway.model.place import Place

_WHERE = "\0where"  # aliases that no file can hold: YAML forbids the NUL byte
_NAME = "\0name"


class Node(BaseModel):
    """One mapping of the file."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        validate_by_name=True,
        validate_by_alias=True,
        validate_default=False,
        hide_input_in_errors=True,
        defer_build=True,
    )

    where: Annotated[SkipValidation[Place], SkipJsonSchema()] = Field(
        default=NOWHERE, validation_alias=_WHERE, exclude=True, repr=False
    )

    @model_validator(mode="before")
    @classmethod
    def _take_place(cls, data: Any) -> Any:
        if not isinstance(data, Block):
            return data
        values = {**data, _WHERE: data.where}
        if cls.named_by_key():
            values[_NAME] = data.key
        return values

    @classmethod
    def named_by_key(cls) -> bool:
        """True where the key under which a mapping stands is its name."""
        return False

    def short(self) -> str | Path | bool | None:
        """The scalar that a file may write instead of the whole mapping; None when there is none."""
        return None

    def replace(self, **values: object) -> Self:
        """A copy with other values, which are taken as they are."""
        return self.model_copy(update=values)


class Named(Node):
    """A mapping whose key is its name (`issuers.corp`)."""

    name: Annotated[SkipValidation[str], SkipJsonSchema()] = Field(default="", validation_alias=_NAME, exclude=True)

    @classmethod
    def named_by_key(cls) -> bool:
        return True
