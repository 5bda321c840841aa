"""Tokens of a backend's own: exchanged once, used again within bounds, and never confused with another caller's."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.model.outcome import Outcome
from gateway.model.principal import User
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import HeaderSection
from gateway.stages.forward.fields import AnswerFields, RequestFields
from gateway.stages.forward.proxy import Proxy
from gateway.stages.forward.stage import Forward
from gateway.stages.forward.token_exchange import ExchangedHead, Exchanger, Exchanging, NewToken
from gateway.testing.clock import Clock
from gateway.testing.upstream import Upstream
from gateway.testing.wait import until
from tests.backends import Watch, cluster, running
from tests.exchange import WORKLOAD, Recorder, context, head, permit, user

NOW = 1_000_000.0


class Endpoint:
    """An issuer whose answers a test sets; its new tokens name the old ones."""

    def __init__(self) -> None:
        self.life: float | None = 300.0
        self.asked: list[str] = []
        self.refuse: Reason | None = None
        self.hold: asyncio.Event | None = None

    async def exchange(self, token: str) -> NewToken:
        self.asked.append(token)
        if self.hold is not None:
            await self.hold.wait()
        if self.refuse is not None:
            raise Refused(self.refuse, "so it is", retry_after=1)
        return NewToken(f"new-{token}-{len(self.asked)}", self.life)


class Place:
    def __init__(self, cache: float = 300.0, capacity: int = 4096) -> None:
        self.endpoint, self.clock, self.counted = Endpoint(), Clock(NOW), Counter[str]()
        count: Callable[[str], None] = lambda result: self.counted.update([result])  # noqa: E731
        self.exchanger = Exchanger(
            "stock", "corp", self.endpoint, cache=cache, count=count, clock=self.clock, capacity=capacity
        )

    async def ask(self, token: str = "t", of: User | None = None) -> bytes | Reason:
        ctx = replace(context(head(headers=[("authorization", f"Bearer {token}")])), time=self.clock())
        try:
            return await self.exchanger.authorization(ctx, of or user())
        except Refused as refused:
            return refused.reason if refused.upstream == "stock" else Reason.INTERNAL

    def troubles(self) -> list[str | None]:
        return [self.exchanger.trouble]


async def test_a_token_is_exchanged_once_and_each_for_itself() -> None:
    place = Place()
    assert [await place.ask(), await place.ask(), await place.ask("u"), await place.ask()] == [
        b"Bearer new-t-1",
        b"Bearer new-t-1",
        b"Bearer new-u-2",
        b"Bearer new-t-1",
    ]
    assert place.endpoint.asked == ["t", "u"]
    assert place.counted == {"success": 2}


@pytest.mark.parametrize(
    ("cache", "life", "old", "lasts"),
    [
        pytest.param(100.0, 300.0, 9999.0, 100.0, id="the-cache"),
        pytest.param(300.0, 60.0, 9999.0, 54.0, id="the-new-token-less-a-margin"),
        pytest.param(3600.0, 1800.0, 9999.0, 1770.0, id="the-margin-is-bounded"),
        pytest.param(300.0, 300.0, 20.0, 20.0, id="the-callers-token"),
        pytest.param(300.0, None, 9999.0, 60.0, id="a-life-that-is-not-told"),
    ],
)
async def test_a_new_token_serves_again_until_the_first_of_all_ends(
    cache: float, life: float | None, old: float, lasts: float
) -> None:
    place = Place(cache)
    place.endpoint.life = life
    alice = replace(user(), expires=NOW + old)
    await place.ask(of=alice)
    place.clock.advance(lasts - 0.1)
    await place.ask(of=alice)
    assert len(place.endpoint.asked) == 1
    place.clock.advance(0.2)
    await place.ask(of=alice)
    assert len(place.endpoint.asked) == 2


async def test_without_a_cache_each_request_asks() -> None:
    place = Place(cache=0)
    assert [await place.ask(), await place.ask()] == [b"Bearer new-t-1", b"Bearer new-t-2"]
    place.endpoint.refuse = Reason.EXCHANGE_REFUSED
    assert [await place.ask(), await place.ask()] == [Reason.EXCHANGE_REFUSED] * 2
    assert len(place.endpoint.asked) == 4


@pytest.mark.parametrize("reason", [Reason.EXCHANGE_REFUSED, Reason.TOKEN_REVOKED])
async def test_a_no_is_remembered_for_a_moment(reason: Reason) -> None:
    place = Place()
    place.endpoint.refuse = reason
    assert [await place.ask(), await place.ask()] == [reason, reason]
    assert place.counted == {"refused": 1}
    place.endpoint.refuse = None
    place.clock.advance(10)
    assert await place.ask() == b"Bearer new-t-2"


async def test_an_outage_is_remembered_by_nobody_and_bridged_by_what_was_exchanged() -> None:
    place = Place()
    assert await place.ask() == b"Bearer new-t-1"
    place.endpoint.refuse = Reason.EXCHANGE_UNAVAILABLE
    assert await place.ask() == b"Bearer new-t-1"
    assert await place.ask("u") is Reason.EXCHANGE_UNAVAILABLE
    assert place.troubles() == ["so it is"]
    place.endpoint.refuse = None
    assert await place.ask("u") == b"Bearer new-u-3"
    assert place.troubles() == [None]
    assert place.counted == {"success": 2, "failure": 1}


async def test_one_exchange_is_in_flight_a_token_and_who_goes_ends_it_for_nobody() -> None:
    place = Place()
    place.endpoint.hold = asyncio.Event()
    waiting = [asyncio.create_task(place.ask()) for _ in range(20)]
    await until(lambda: place.endpoint.asked, what="the question")
    waiting[0].cancel()
    place.endpoint.hold.set()
    await asyncio.gather(waiting[0], return_exceptions=True)
    assert await asyncio.gather(*waiting[1:]) == [b"Bearer new-t-1"] * 19
    assert len(place.endpoint.asked) == 1


async def test_the_oldest_make_room() -> None:
    place = Place(capacity=2)
    for token in ("a", "b", "c", "c", "b", "a"):
        await place.ask(token)
    assert place.endpoint.asked == ["a", "b", "c", "a"]


async def test_another_issuers_token_is_sent_nowhere() -> None:
    place = Place()
    assert await place.ask(of=replace(user(), issuer_name="partner")) is Reason.EXCHANGE_REFUSED
    assert place.endpoint.asked == []
    assert Reason.EXCHANGE_REFUSED.wire == "no_rule_allows"


async def test_the_token_is_the_one_that_was_verified_for_a_section_that_comes_again() -> None:
    from gateway.stages.authenticate.credentials import sent_token

    place = Place()
    ctx = context(replace(head(), section=HeaderSection()))
    assert ctx.head.section is not None
    ctx.head.section.token = sent_token("kept")
    assert await place.exchanger.authorization(replace(ctx, time=NOW), user()) == b"Bearer new-kept-1"


async def forwarded(place: Place, backend: Upstream, *, of: User | None) -> tuple[Outcome, Recorder]:
    """A request with a token, through the stage to a real backend."""
    async with running(cluster(backend.url)) as to:
        writer = ExchangedHead(RequestFields(()), via="gateway", own_id=None)
        proxy = Proxy(to, writer, AnswerFields(), timeout=1.0, max_body={"edge": 1 << 20}, streams=Watch())
        stage = Forward([Exchanging(proxy, place.exchanger)])
        got = Recorder(head(headers=[("authorization", "Bearer mine"), ("dpop", "proof"), ("accept", "*/*")]))
        ctx = replace(context(got.head), time=NOW)
        outcome = await stage(permit(ctx, user=of, workload=WORKLOAD), got, [])
        return outcome, got


async def test_a_backend_gets_the_new_token_and_nothing_of_the_old_one() -> None:
    place = Place()
    async with Upstream() as backend:
        outcome, got = await forwarded(place, backend, of=user())
        assert (outcome.status, got.status) == (200, 200)
        call = backend.calls[0]
        assert call.values("authorization") == [b"Bearer new-mine-1"]
        assert call.value("accept") == "*/*"
        assert call.values("dpop") == []
        assert b"Bearer mine" not in call.head


async def test_who_came_without_a_token_has_none_to_exchange() -> None:
    place = Place()
    async with Upstream() as backend:
        outcome, _ = await forwarded(place, backend, of=None)
        assert outcome.status == 200
        assert backend.calls[0].values("authorization") == []
        assert place.endpoint.asked == []


async def test_what_is_not_exchanged_reaches_no_backend() -> None:
    place = Place()
    place.endpoint.refuse = Reason.EXCHANGE_UNAVAILABLE
    async with Upstream() as backend:
        with pytest.raises(Refused) as refused:
            await forwarded(place, backend, of=user())
        assert (refused.value.reason, refused.value.retry_after) == (Reason.EXCHANGE_UNAVAILABLE, 1)
        assert backend.calls == []
