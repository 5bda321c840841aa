import pytest

from gateway.kernel.store import MemoryStore
from gateway.model.limit import LimitStatus
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.ratelimit import LocalBuckets
from tests.stages.ratelimit.gates import counts, gate, limit
from tests.stages.ratelimit.requests import NOW, anonymous, request, user


@pytest.fixture
def here() -> LocalBuckets:
    return LocalBuckets(MemoryStore(), lambda: 1)


async def test_the_caller_is_told_what_is_left(here: LocalBuckets) -> None:
    one = gate(here, limit("per-client", 3, 60))
    assert await one.enter(request(), user()) == [LimitStatus("per-client", 3, 60, 2, 60)]
    assert await one.enter(request(at=NOW + 10.5), user()) == [LimitStatus("per-client", 3, 60, 1, 50)]


async def test_R10_a_refusal_says_when_to_come_back_in_whole_seconds_at_least_one(here: LocalBuckets) -> None:
    one = gate(here, limit("per-client", 1, 60))
    await one.enter(request(), user())
    with pytest.raises(Refused) as refused:
        await one.enter(request(at=NOW + 0.5), user())
    assert refused.value.reason is Reason.RATE_LIMITED
    assert refused.value.retry_after == 60
    assert refused.value.limits == (LimitStatus("per-client", 1, 60, 0, 60),)
    with pytest.raises(Refused) as refused:
        await one.enter(request(at=NOW + 59.99), user())
    assert refused.value.retry_after == 1


async def test_R11_of_several_that_refuse_the_longest_wait_is_answered_and_none_is_spent(here: LocalBuckets) -> None:
    short, long, wide = limit("short", 1, 10), limit("long", 1, 100), limit("wide", 5, 60)
    one = gate(here, short, long, wide)
    await one.enter(request(), user())
    for _ in range(3):
        with pytest.raises(Refused) as refused:
            await one.enter(request(at=NOW + 1), user())
        assert refused.value.retry_after == 99
        assert refused.value.limits[2].remaining == 4
    assert (counts(short), counts(long), counts(wide)) == ((1, 3, 0), (1, 3, 0), (4, 0, 0))


async def test_R10_a_bucket_that_is_shared_refuses_without_telling_its_numbers(here: LocalBuckets) -> None:
    everyone = limit("everyone", 1, 60, key=())
    one = gate(here, everyone)
    assert await one.enter(request(), user()) == []
    with pytest.raises(Refused) as refused:
        await one.enter(request(), anonymous())
    assert refused.value.limits == ()
    assert refused.value.retry_after == 60


async def test_what_is_only_looked_at_is_told_and_counted_when_it_refuses_alone(here: LocalBuckets) -> None:
    bad = limit("bad-credentials", 1, 60, key=("client_ip",))
    looking, charging = gate(here, looked_at=(bad,)), gate(here, bad)
    assert await looking.enter(request(), None) == []
    await charging.enter(request(), None)
    with pytest.raises(Refused) as refused:
        await looking.enter(request(), None)
    assert [status.name for status in refused.value.limits] == ["bad-credentials"]
    assert counts(bad) == (1, 1, 0)


async def test_a_gate_without_limits_admits_everything(here: LocalBuckets) -> None:
    assert await gate(here).enter(request(), user()) == []


def test_with_buckets_in_this_process_a_gate_never_suspends(here: LocalBuckets) -> None:
    with pytest.raises(StopIteration) as done:
        gate(here, limit(), limit("m", key=("client_ip",))).enter(request(), user()).send(None)
    assert [status.name for status in done.value.value] == ["l", "m"]
