"""What a stage found, whether it said so at once or is waited for."""

from collections.abc import Awaitable
from inspect import isawaitable
from typing import TypeVar, cast

_T = TypeVar("_T")


async def due(found: _T | Awaitable[_T]) -> _T:
    """As the pipeline takes it."""
    return cast("_T", await found if isawaitable(found) else found)
