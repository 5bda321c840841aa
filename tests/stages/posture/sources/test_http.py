"""An inventory: what is asked, how often, and what serves while it is down."""

import asyncio
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stages.posture import Known, Unavailable
from gateway.stages.posture.sources.http import HttpSource, device_url
from gateway.testing.wait import until
from tests.facts import NOW, principal

WHO = principal()
TEMPLATE = "https://posture.internal/devices/{device}"


class Inventory:
    """Answers by hand; remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.body: bytes | None = b'{"os": 1}'
        self.down = False
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, url: str) -> bytes | None:
        self.asked.append(url)
        await self.open.wait()
        if self.down:
            raise Unavailable("posture.internal: no answer")
        return self.body

    def source(self, max_age: float = 3600.0) -> HttpSource:
        return HttpSource(TEMPLATE, self, max_age)


async def test_an_answer_serves_for_a_minute() -> None:
    inventory = Inventory()
    source = inventory.source()
    assert await source("a", WHO, NOW) == Known({"os": 1}, NOW)
    inventory.body = b'{"os": 2}'
    assert await source("a", WHO, NOW + 59) == Known({"os": 1}, NOW)
    assert await source("a", WHO, NOW + 60) == Known({"os": 2}, NOW + 60)
    assert len(inventory.asked) == 2


async def test_an_answer_never_serves_longer_than_it_is_fresh() -> None:
    inventory = Inventory()
    source = inventory.source(max_age=5)
    await source("a", WHO, NOW)
    assert await source("a", WHO, NOW + 5) == Known({"os": 1}, NOW + 5)


async def test_a_device_that_is_not_known_is_asked_for_again_after_ten_seconds() -> None:
    inventory = Inventory()
    inventory.body = None
    source = inventory.source()
    assert await source("a", WHO, NOW) is None
    inventory.body = b"{}"
    assert await source("a", WHO, NOW + 9) is None
    assert await source("a", WHO, NOW + 10) == Known({}, NOW + 10)


async def test_one_question_is_in_flight_a_device() -> None:
    inventory = Inventory()
    inventory.open.clear()
    source = inventory.source()
    waiting = [asyncio.ensure_future(source(device, WHO, NOW)) for device in "aaab"]
    await until(lambda: len(inventory.asked) == 2)
    waiting[0].cancel()
    inventory.open.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [Known({"os": 1}, NOW)] * 3
    assert len(inventory.asked) == 2


async def test_while_it_is_down_the_last_answer_serves_until_it_is_too_old() -> None:
    inventory = Inventory()
    source = inventory.source(max_age=100)
    await source("a", WHO, NOW)
    inventory.down = True
    assert await source("a", WHO, NOW + 60) == Known({"os": 1}, NOW)
    assert await source("a", WHO, NOW + 99) == Known({"os": 1}, NOW)
    with pytest.raises(Unavailable, match="no answer"):
        await source("a", WHO, NOW + 100)
    inventory.down = False
    assert await source("a", WHO, NOW + 101) == Known({"os": 1}, NOW + 101)


async def test_an_inventory_that_is_down_is_asked_once_a_second_a_device() -> None:
    inventory = Inventory()
    inventory.down = True
    source = inventory.source()
    for after in (0.0, 0.1, 0.9, 1.0):
        with pytest.raises(Unavailable):
            await source("a", WHO, NOW + after)
    assert len(inventory.asked) == 2


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b'{"a": 1, "a": 2}', b"<html>", b'{"a": NaN}'])
async def test_an_answer_that_is_no_object_is_an_outage(body: bytes) -> None:
    inventory = Inventory()
    inventory.body = body
    with pytest.raises(Unavailable, match="what the inventory says is"):
        await inventory.source()("a", WHO, NOW)


async def test_questions_are_bounded() -> None:
    inventory = Inventory()
    inventory.open.clear()
    source = inventory.source()
    waiting = [asyncio.ensure_future(source(str(device), WHO, NOW)) for device in range(64)]
    await until(lambda: len(inventory.asked) == 64)
    with pytest.raises(Unavailable, match="more than 64 questions"):
        await source("one too many", WHO, NOW)
    inventory.open.set()
    await asyncio.gather(*waiting)
    await source.close()


@pytest.mark.parametrize(
    ("device", "segment"),
    [
        ("abc-1._~", "abc-1._~"),
        ("a/../b", "a%2F..%2Fb"),
        ("a?x=1#f", "a%3Fx%3D1%23f"),
        ("spiffe://a/b", "spiffe%3A%2F%2Fa%2Fb"),
        ("ä%2f\r\n", "%C3%A4%252f%0D%0A"),
        ("{device}", "%7Bdevice%7D"),
    ],
)
def test_a_device_is_one_segment(device: str, segment: str) -> None:
    assert device_url(TEMPLATE, device) == f"https://posture.internal/devices/{segment}"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_whatever_a_device_is_called_nothing_of_it_leaves_its_segment(device: str) -> None:
    segment = device_url(TEMPLATE, device).removeprefix("https://posture.internal/devices/")
    assert not set(segment) & set("/?#\\ ")
    assert segment.isascii()
    assert unquote(segment) == device
