"""A source that is asked about one device: what facts without a date are worth, and when it is asked again.

What an inventory and a store have in common besides is told by test_http.
"""

import pytest

from gateway.stages.posture import Known, Unavailable
from gateway.stages.posture.source import NEVER
from gateway.stages.posture.sources.asked import AskedSource
from tests.facts import NOW, principal

WHO = principal()


class Told:
    """Says one thing about every device."""

    def __init__(self, body: bytes | None) -> None:
        self.body = body
        self.down = False
        self.asked = 0

    async def __call__(self, device: str) -> bytes | None:
        self.asked += 1
        if self.down:
            raise Unavailable("the store: gone")
        return self.body


@pytest.mark.parametrize(("live", "observed"), [(True, NOW), (False, NEVER)])
async def test_facts_without_a_date_are_of_the_answer_only_where_it_is_made_for_it(live: bool, observed: float) -> None:
    source = AskedSource("the store", Told(b'{"os": 1}'), 60.0, 5.0, live=live)
    assert await source("a", WHO, NOW) == Known({"os": 1}, observed)


async def test_facts_with_a_date_are_of_then() -> None:
    source = AskedSource("the store", Told(b'{"observed_at": 1800000000}'), 60.0, 5.0, live=False)
    assert await source("a", WHO, NOW) == Known({"observed_at": 1800000000}, 1_800_000_000.0)


async def test_it_is_asked_again_after_its_pace() -> None:
    told = Told(b'{"observed_at": 1800000000}')
    source = AskedSource("the store", told, 60.0, 5.0, live=False)
    for seconds, asked in ((0.0, 1), (4.9, 1), (5.0, 2), (9.9, 2)):
        await source("a", WHO, NOW + seconds)
        assert told.asked == asked


async def test_an_outage_is_bridged_by_what_is_fresh_and_by_nothing_undated() -> None:
    told = Told(b'{"observed_at": %d}' % NOW)
    source = AskedSource("the store", told, 60.0, 5.0, live=False)
    await source("a", WHO, NOW)
    told.down = True
    assert await source("a", WHO, NOW + 59) == Known({"observed_at": int(NOW)}, NOW)
    with pytest.raises(Unavailable, match="the store: gone"):
        await source("a", WHO, NOW + 61)
    told.down, told.body = False, b"{}"
    await source("b", WHO, NOW)
    told.down = True
    with pytest.raises(Unavailable):
        await source("b", WHO, NOW + 6)
