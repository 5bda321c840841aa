"""One question in flight a key, and a table that never outgrows its bound."""

import asyncio

import pytest

from gateway.kernel.answers import Flights, Remembered


def test_R9_the_table_is_bounded_and_what_was_kept_first_goes_first() -> None:
    table: Remembered[int] = Remembered(2)
    for number, key in enumerate((b"a", b"b", b"a", b"c")):
        table.keep(key, number)
    assert dict(table) == {b"a": 2, b"c": 3}


async def test_all_who_ask_at_once_share_one_question_and_the_next_asks_anew() -> None:
    flights: Flights[int] = Flights()
    asked: list[int] = []

    async def question() -> int:
        asked.append(1)
        return len(asked)

    waiting = [asyncio.create_task(flights.ask(b"k", question)) for _ in range(3)]
    other = asyncio.create_task(flights.ask(b"other", question))
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    assert await other == 2
    assert await flights.ask(b"k", question) == 3


async def test_who_asked_first_may_go_away_and_a_failure_is_everybodys() -> None:
    flights: Flights[int] = Flights()
    go = asyncio.Event()

    async def question() -> int:
        await go.wait()
        raise ValueError("no")

    first, second = (asyncio.create_task(flights.ask(b"k", question)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert not second.done()
    go.set()
    with pytest.raises(ValueError, match="no"):
        await second
    assert first.cancelled()
