"""Waiting for what must come about.

Rule: a bound on every wait, and a name for what did not happen.
Invariant: returns at the first look that finds the condition true, so a quick machine waits no longer than it must.
"""

import asyncio
import time
from collections.abc import Callable

BOUND = 30.0  # seconds that anything may take before it counts as not happening: a busy machine is slow, not wrong
_STEP = 0.01  # seconds between two looks


def wait_for(condition: Callable[[], object], *, seconds: float = BOUND, what: str = "the condition") -> None:
    """Block until the condition holds. Raises TimeoutError, naming `what`, after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise _late(what, seconds)
        time.sleep(_STEP)


async def until(condition: Callable[[], object], *, seconds: float = BOUND, what: str = "the condition") -> None:
    """As `wait_for`, on a running loop."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise _late(what, seconds)
        await asyncio.sleep(_STEP)


def _late(what: str, seconds: float) -> TimeoutError:
    return TimeoutError(f"{what} did not come about within {seconds:g} s")
