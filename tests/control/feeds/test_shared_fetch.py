"""What is fetched once for all workers; its ways with keys and bundles stand in their own tests."""

import asyncio
import time

from gateway.control.feeds.fetch import FetchError
from gateway.control.feeds.shared_fetch import SharedFetch
from gateway.testing.wait import until


class Document(SharedFetch):
    """A document that a test gives or withholds."""

    def __init__(self, answers: list[bytes | Exception]) -> None:
        super().__init__(None, pace=100, longest=200, max_stale=60, cooldown=30, clock=self.clock, watch=None)
        self.answers = answers
        self.used: list[bytes] = []
        self.told: list[tuple[str | None, bool, bool]] = []

    now = 1_000_000.0

    def clock(self) -> float:
        return self.now

    async def _get(self, *, anew: bool) -> tuple[bytes, float]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self._use(answer)
        return answer, 50.0

    def _use(self, body: bytes) -> None:
        self.used.append(body)

    def _told(self, why: str | None, *, ours: bool, first: bool, gone: bool) -> None:
        assert ours
        self.told.append((why, first, gone))

    async def once(self) -> None:
        self._take_off()
        await self._landing()


async def test_success_and_failure_are_told_each_with_whether_it_is_the_first() -> None:
    held = Document([FetchError("a"), FetchError("b"), b"one", FetchError("c"), FetchError("d")])
    await held.once()
    await held.once()
    assert (held.failing, held.age()) == (True, None)
    await held.once()
    assert (held.failing, held.age(), held._pace) == (False, 0.0, 50.0)
    await held.once()
    held.now += 61
    await held.once()
    assert held.told == [
        ("a", True, False),
        ("b", False, False),
        (None, True, False),
        ("c", True, False),
        ("d", False, True),
    ]
    assert held.used == [b"one"]


async def test_a_fault_of_our_own_is_retried_like_any_other() -> None:
    held = Document([KeyError("mistake"), b"one"])
    held.start()
    try:
        await held.tried()
        await until(lambda: held.used, seconds=10, what="the second try")
    finally:
        await held.close()
    assert held.told[0][0] == "a fault of the gateway's own: KeyError"


async def test_on_demand_it_is_fetched_once_a_cooldown_and_never_twice_at_once() -> None:
    held = Document([b"one", b"two"])
    began = time.monotonic()
    assert await asyncio.gather(*[held.refetch() for _ in range(5)]) == [True] * 5
    assert await held.refetch()
    assert held.used == [b"one"]
    held.now += 31
    assert await held.refetch()
    assert (held.used, time.monotonic() - began < 5) == ([b"one", b"two"], True)


async def test_K6_a_try_comes_as_soon_as_the_last_good_one_is_too_old_however_long_the_pause_is() -> None:
    held = Document([b"one", *(FetchError("a") for _ in range(12))])
    await held.once()
    for _ in range(12):
        await held.once()
    assert held._pause() > 10
    held.now += 59.5
    assert 0.5 < held._pause() < 0.6
    held.now += 1
    assert held._pause() > 10
