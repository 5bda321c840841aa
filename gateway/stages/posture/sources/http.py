"""An inventory of devices over HTTP: `GET URL`, 200 with an object of facts, 404 for a device that it does not know.

Rule: one question in flight a device; its answer is kept for a minute, 10 s for a device that is not known.
Invariant: while the inventory is down, what it said last serves for as long as it is fresh, and nothing serves beyond.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import quote

from gateway.kernel.strict import NotStrict, parse_object
from gateway.model.principal import Principal
from gateway.stages.posture.source import Known, Unavailable, known

Fetch: TypeAlias = Callable[[str], Awaitable[bytes | None]]  # None: not known there; raises Unavailable

_REFRESH = 60.0  # seconds that an answer serves before it is asked for again; never longer than it is fresh
_NEGATIVE = 10.0  # seconds that "not known" serves
_PAUSE = 1.0  # seconds between questions about one device to an inventory that does not answer
_DEVICES = 65_536  # answers kept
_IN_FLIGHT = 64  # questions at a time


def device_url(template: str, device: str) -> str:
    """`{device}` as one segment: everything but unreserved characters percent-encoded (RFC 3986 section 2.3)."""
    return template.replace("{device}", quote(device, safe="", errors="surrogatepass"))


class _Answer:
    """What was said of one device."""

    __slots__ = ("again", "failure", "known")

    def __init__(self, known: Known | None, again: float, failure: str | None = None) -> None:
        self.known = known
        self.again = again  # seconds since the epoch: when to ask again
        self.failure = failure


class HttpSource:
    """One inventory. Made once, and kept over a reload while its URL and authority stay the same."""

    def __init__(self, template: str, fetch: Fetch, max_age: float) -> None:
        """`max_age`: seconds that facts are fresh."""
        self._template = template
        self._fetch = fetch
        self._answers: dict[str, _Answer] = {}
        self._flights: dict[str, asyncio.Task[_Answer]] = {}
        self._max_age = max_age

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
            raise Unavailable(f"more than {_IN_FLIGHT} questions to the inventory wait for an answer")
        flight = asyncio.get_running_loop().create_task(self._answer(device, now))
        self._flights[device] = flight
        flight.add_done_callback(lambda _: self._flights.pop(device, None))
        return flight

    async def _answer(self, device: str, now: float) -> _Answer:
        before = self._answers.get(device)
        try:
            body = await self._fetch(device_url(self._template, device))
            found = None if body is None else known(parse_object(body), now)
        except NotStrict as error:
            answer = self._failed(before, f"the inventory's answer is {error}", now)
        except Unavailable as error:
            answer = self._failed(before, str(error), now)
        else:
            answer = _Answer(found, now + (_NEGATIVE if found is None else min(_REFRESH, self._max_age)))
        self._answers.pop(device, None)
        self._answers[device] = answer
        if len(self._answers) > _DEVICES:
            del self._answers[next(iter(self._answers))]
        return answer

    def _failed(self, before: _Answer | None, why: str, now: float) -> _Answer:
        return _Answer(before.known if before is not None else None, now + _PAUSE, why)
