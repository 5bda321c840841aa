"""What is left to the collector: objects that refer to each other, and that nobody else refers to."""

import gc
from collections.abc import Awaitable, Callable

_TURNS = 20


async def left_behind(turn: Callable[[], Awaitable[object]]) -> int:
    """Objects in such rings that each turn leaves, on average."""
    await turn()
    gc.collect()
    gc.disable()
    try:
        for _ in range(_TURNS):
            await turn()
        return gc.collect() // _TURNS
    finally:
        gc.enable()
