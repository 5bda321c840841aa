"""Weighted routes."""

from collections import Counter

import pytest

from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.request import RawHeaders
from gateway.stages.forward.split import Split
from gateway.stages.forward.stage import Way
from gateway.upstreams.hash_key import hash_key
from tests.exchange import Recorder, context, permit
from tests.exchange import head as request_head


def way(name: str) -> Way:
    async def answer(permit: Permit, exchange: Exchange, headers: RawHeaders) -> Outcome:
        return Outcome(200, name, None, 0, 0)

    return answer


async def chosen(split: Split, ip: str = "203.0.113.7") -> str | None:
    request = request_head()
    return (await split(permit(context(request, client_ip=ip)), Recorder(request), [])).upstream


async def test_each_takes_its_part() -> None:
    split = Split([(way("a"), 90), (way("b"), 10), (way("c"), 0)])
    counts = Counter([await chosen(split) for _ in range(2000)])
    assert 1700 < counts["a"] < 1900
    assert counts["a"] + counts["b"] == 2000


async def test_by_a_key_a_caller_stays_with_one() -> None:
    split = Split([(way("a"), 3), (way("b"), 1)], hash_key("client_ip"))
    where = {ip: await chosen(split, ip) for ip in (f"10.0.{high}.{low}" for high in range(4) for low in range(100))}
    assert [await chosen(split, ip) for ip in where] == list(where.values())
    assert 0.65 < Counter(where.values())["a"] / len(where) < 0.85


@pytest.mark.parametrize("weights", [(1, 0), (0, 1)])
async def test_weight_0_gets_nothing(weights: tuple[int, int]) -> None:
    split = Split([(way("a"), weights[0]), (way("b"), weights[1])])
    assert {await chosen(split) for _ in range(50)} == {"a" if weights[0] else "b"}
