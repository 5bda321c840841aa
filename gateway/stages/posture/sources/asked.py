"""A source that is asked about one device at a time, and what it said last.

Rule: one question in flight a device; an answer is kept for a while, 10 s for a device that is not known.
Invariant: while the source is down, what it said last serves for as long as it is fresh, and nothing serves beyond.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from gateway.kernel.strict import NotStrict, parse_object
from gateway.model.principal import Principal
from gateway.stages.posture.source import NEVER, Known, Unavailable, known

Ask: TypeAlias = Callable[[str], Awaitable[bytes | None]]  # about a device; None: not known; raises Unavailable

_NEGATIVE = 10.0  # seconds that "not known" serves
_PAUSE = 1.0  # seconds between questions about one device to a source that does not answer
_DEVICES = 65_536  # answers kept
_IN_FLIGHT = 64  # questions at a time


class _Answer:
    """What was said of one device."""

    __slots__ = ("again", "failure", "known")

    def __init__(self, known: Known | None, again: float, failure: str | None = None) -> None:
        self.known = known
        self.again = again  # seconds since the epoch: when to ask again
        self.failure = failure


class AskedSource:
    """One such source. Made once, and kept over a reload while its settings stay the same."""

    def __init__(self, name: str, ask: Ask, max_age: float, refresh: float, *, live: bool) -> None:
        """`max_age`: seconds that facts are fresh; `refresh`: seconds that an answer serves before the next question.

        `live`: facts that do not say as of when they are (`observed_at`) are as of the answer; else nobody knows.
        """
        self._name = name
        self._source = ask
        self._answers: dict[str, _Answer] = {}
        self._flights: dict[str, asyncio.Task[_Answer]] = {}
        self._max_age = max_age
        self._refresh = min(refresh, max_age)
        self._live = live

    async def __call__(self, device: str, principal: Principal, now: float) -> Known | None:
        """Waits only where no answer is kept. Raises Unavailable."""
        answer = self._answers.get(device)
        if answer is None or now >= answer.again:
            flight = self._flights.get(device) or self._ask(device, now)
            answer = await asyncio.shield(flight)  # who goes away does not take the answer from the others
        if answer.failure is not None and (answer.known is None or now >= answer.known.observed + self._max_age):
            raise Unavailable(answer.failure)
        return answer.known

    async def close(self) -> None:
        """Wait for the questions that are under way: requests wait for them too."""
        await asyncio.gather(*self._flights.values(), return_exceptions=True)

    def _ask(self, device: str, now: float) -> "asyncio.Task[_Answer]":
        if len(self._flights) >= _IN_FLIGHT:
            raise Unavailable(f"more than {_IN_FLIGHT} questions to {self._name} wait for an answer")
        flight = asyncio.get_running_loop().create_task(self._answer(device, now))
        self._flights[device] = flight
        flight.add_done_callback(lambda _: self._flights.pop(device, None))
        return flight

    async def _answer(self, device: str, now: float) -> _Answer:
        before = self._answers.get(device)
        try:
            body = await self._source(device)
            found = None if body is None else known(parse_object(body), now if self._live else NEVER)
        except NotStrict as error:
            answer = self._failed(before, f"what {self._name} says is {error}", now)
        except Unavailable as error:
            answer = self._failed(before, str(error), now)
        else:
            answer = _Answer(found, now + (_NEGATIVE if found is None else self._refresh))
        self._answers.pop(device, None)
        self._answers[device] = answer
        if len(self._answers) > _DEVICES:
            del self._answers[next(iter(self._answers))]
        return answer

    def _failed(self, before: _Answer | None, why: str, now: float) -> _Answer:
        return _Answer(before.known if before is not None else None, now + _PAUSE, why)
