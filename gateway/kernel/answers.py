"""What somebody else is asked about: one question in flight a key, and answers that are remembered.

Rule: who asks first may go away, the others wait on. Invariant: the table holds no more than its capacity; the answer
that has been there longest goes first. How long an answer is good is its own to say.
"""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class Remembered(dict[bytes, _T]):
    """A bounded table, read like any dict and written by `keep` alone."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def keep(self, key: bytes, value: _T) -> None:
        """Put it last in line."""
        self.pop(key, None)
        if len(self) >= self._capacity:  # some at once: finding the first of a dict steps over all that went before
            for oldest in tuple(islice(self, 1 + self._capacity // 64)):
                del self[oldest]
        self[key] = value


class Flights(Generic[_T]):
    """Questions on their way."""

    def __init__(self) -> None:
        self._flights: dict[bytes, asyncio.Task[_T]] = {}

    async def ask(self, key: bytes, question: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """The answer to the question that is on its way about `key`, else to this one. Raises what that raises."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.get_running_loop().create_task(question())
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def _landed(self, key: bytes, flight: asyncio.Task[_T]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # looked at here too, for everybody who waited may be gone
