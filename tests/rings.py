"""What is left to the collector: objects that refer to each other, and that nobody else refers to."""

import gc
from collections.abc import Awaitable, Callable

from gateway.model.reason import Reason
from gateway.model.refused import Refused

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


async def left_by_refusals(turn: Callable[[], Awaitable[object]]) -> tuple[int, set[Reason]]:
    """The same of turns that are refused, each settled as the pipeline does it; and why they were."""
    reasons: set[Reason] = set()

    async def refused() -> None:
        try:
            await turn()
        except Refused as found:
            reasons.add(found.reason)
            found.settle()

    return await left_behind(refused), reasons
