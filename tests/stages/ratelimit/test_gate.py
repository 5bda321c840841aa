from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.store import MemoryStore
from gateway.model.limit import LimitStatus
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.stages.ratelimit import LocalBuckets, SlidingWindow
from gateway.stages.ratelimit.gate import Gate, LoneGate, WindowGate, make_gate
from tests.due import due
from tests.exchange import limit_status
from tests.stages.ratelimit.gates import charge, counts, gate, limit
from tests.stages.ratelimit.requests import NOW, anonymous, request, trace, user


@pytest.fixture(params=[1, lambda: 1], ids=["fixed", "asked"])
def here(request: pytest.FixtureRequest) -> LocalBuckets:
    return LocalBuckets(MemoryStore(), request.param)


async def test_the_caller_is_told_what_is_left(here: LocalBuckets) -> None:
    one = gate(here, limit("per-client", 3, 60))
    assert await due(one.enter(request(), user(), trace())) == [limit_status("per-client", 3, 60, 2, 60)]
    assert await due(one.enter(request(at=NOW + 10.5), user(), trace())) == [limit_status("per-client", 3, 60, 1, 50)]


async def test_R10_a_refusal_says_when_to_come_back_in_whole_seconds_at_least_one(here: LocalBuckets) -> None:
    one = gate(here, limit("per-client", 1, 60))
    await due(one.enter(request(), user(), trace()))
    with pytest.raises(Refused) as refused:
        await due(one.enter(request(at=NOW + 0.5), user(), trace()))
    assert refused.value.reason is Reason.RATE_LIMITED
    assert refused.value.retry_after == 60
    assert refused.value.limits == (limit_status("per-client", 1, 60, 0, 60),)
    with pytest.raises(Refused) as refused:
        await due(one.enter(request(at=NOW + 59.99), user(), trace()))
    assert refused.value.retry_after == 1


async def test_R11_of_several_that_refuse_the_longest_wait_is_answered_and_none_is_spent(here: LocalBuckets) -> None:
    short, long, wide = limit("short", 1, 10), limit("long", 1, 100), limit("wide", 5, 60)
    one = gate(here, short, long, wide)
    await due(one.enter(request(), user(), trace()))
    for _ in range(3):
        with pytest.raises(Refused) as refused:
            await due(one.enter(request(at=NOW + 1), user(), trace()))
        assert refused.value.retry_after == 99
        assert refused.value.limits[2][1] == 4
    assert (counts(short), counts(long), counts(wide)) == ((1, 3, 0), (1, 3, 0), (4, 0, 0))


async def test_R10_a_bucket_that_is_shared_refuses_without_telling_its_numbers(here: LocalBuckets) -> None:
    everyone = limit("everyone", 1, 60, key=())
    one = gate(here, everyone)
    assert await due(one.enter(request(), user(), trace())) == []
    with pytest.raises(Refused) as refused:
        await due(one.enter(request(), anonymous(), trace()))
    assert refused.value.limits == ()
    assert refused.value.retry_after == 60


async def test_what_is_only_looked_at_is_told_and_counted_when_it_refuses_alone(here: LocalBuckets) -> None:
    bad = limit("bad-credentials", 1, 60, key=("client_ip",))
    looking, charging = gate(here, looked_at=(bad,)), gate(here, bad)
    assert await due(looking.enter(request(), None, trace())) == []
    await due(charging.enter(request(), None, trace()))
    with pytest.raises(Refused) as refused:
        await due(looking.enter(request(), None, trace()))
    assert [policy.name for policy, _, _ in refused.value.limits] == ["bad-credentials"]
    assert counts(bad) == (1, 1, 0)


async def test_a_gate_without_limits_admits_everything(here: LocalBuckets) -> None:
    assert await due(gate(here).enter(request(), user(), trace())) == []


def test_with_buckets_in_this_process_a_gate_never_suspends(here: LocalBuckets) -> None:
    found = gate(here, limit(), limit("m", key=("client_ip",))).enter(request(), user(), trace())
    assert isinstance(found, list)
    assert [policy.name for policy, _, _ in found] == ["l", "m"]


async def test_R1_a_request_that_costs_more_spends_more_and_waits_longer(here: LocalBuckets) -> None:
    per_client = limit("per-client", 10, 60)
    dear, cheap = Gate(here, [charge(per_client, 4)]), Gate(here, [charge(per_client)])
    assert [left for _, left, _ in await due(dear.enter(request(), user(), trace()))] == [6]
    assert [left for _, left, _ in await due(dear.enter(request(), user(), trace()))] == [2]
    with pytest.raises(Refused) as refused:
        await due(dear.enter(request(), user(), trace()))
    assert [left for _, left, _ in refused.value.limits] == [2]  # a refused request spends nothing
    assert [left for _, left, _ in await due(cheap.enter(request(), user(), trace()))] == [1]


async def test_a_limit_in_shadow_refuses_nothing_and_is_told(here: LocalBuckets) -> None:
    tried, enforced = limit("tried", 1, 60, shadow=True), limit("enforced", 3, 60)
    one = gate(here, tried, enforced)
    first, second, third = trace(), trace(), trace()
    assert [policy.name for policy, _, _ in await due(one.enter(request(), user(), first))] == [
        "enforced"
    ]  # no numbers of it
    assert first.shadows == ()
    await due(one.enter(request(), user(), second))
    assert [(shadow.kind, shadow.name, shadow.effect) for shadow in second.shadows] == [
        ("limit", "tried", Effect.LIMIT)
    ]
    await due(one.enter(request(), user(), third))
    with pytest.raises(Refused) as refused:
        await due(one.enter(request(), user(), trace()))
    assert refused.value.detail == "limit enforced"
    assert [policy.name for policy, _, _ in refused.value.limits] == ["enforced"]
    assert (counts(tried), counts(enforced)) == ((1, 3, 0), (3, 1, 0))


async def test_R11_a_limit_in_shadow_spends_nothing_of_a_refused_request(here: LocalBuckets) -> None:
    tried, enforced = limit("tried", 5, 60, shadow=True), limit("enforced", 1, 60)
    one = gate(here, tried, enforced)
    await due(one.enter(request(), user(), trace()))
    for _ in range(10):
        with pytest.raises(Refused):
            await due(one.enter(request(), user(), trace()))
    passed = trace()
    await due(gate(here, tried).enter(request(), user(), passed))
    assert passed.shadows == ()


async def test_a_limit_in_shadow_counts_in_a_bucket_of_its_own(here: LocalBuckets) -> None:
    tried, same = limit("l", 2, 60, shadow=True), limit("l", 2, 60)
    for _ in range(5):
        await due(gate(here, tried).enter(request(), user(), trace()))
    assert [left for _, left, _ in await due(gate(here, same).enter(request(), user(), trace()))] == [1]


async def test_the_budget_of_failed_credentials_in_shadow_is_told_once(here: LocalBuckets) -> None:
    bad = limit("bad", 1, 60, key=("client_ip",), shadow=True)
    looking, charging = gate(here, looked_at=(bad,)), gate(here, bad)
    await due(charging.enter(request(), None, trace()))
    seen = trace()
    await due(looking.enter(request(), None, seen))
    await due(charging.enter(request(), None, seen))
    assert [shadow.name for shadow in seen.shadows] == ["bad"]


class _Outcome(NamedTuple):
    told: list[LimitStatus]
    retry_after: int | None


async def outcome(of: Gate, who: str, at: float) -> _Outcome:
    try:
        return _Outcome(await due(of.enter(request(at=at), user(who), trace())), None)
    except Refused as refused:
        return _Outcome(list(refused.limits), refused.retry_after)


@given(
    st.integers(1, 7),
    st.integers(1, 3),
    st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(0, 25) | st.floats(-150, 250), st.booleans()),
        min_size=1,
        max_size=60,
    ),
)
async def test_R1_who_came_lately_is_judged_as_one_who_did_not(
    quota: int, cost: int, steps: list[tuple[str, float, bool]]
) -> None:
    quick = limit(algorithm=SlidingWindow(quota, 60))
    plain = limit(algorithm=SlidingWindow(quota, 60))
    here, there = LocalBuckets(MemoryStore(), 1), LocalBuckets(MemoryStore(), lambda: 1)
    gates = [
        (make_gate(here, [charge(quick, each)]), make_gate(there, [charge(plain, each)]))
        for each in (1, min(cost, quota))
    ]
    assert all(isinstance(one, WindowGate) and not isinstance(other, LoneGate) for one, other in gates)
    now = NOW
    for who, pause, dear in steps:
        now += pause
        one, other = gates[dear]  # both count in the same bucket
        assert await outcome(one, who, now) == await outcome(other, who, now)
    assert counts(quick) == counts(plain)


async def test_R9_a_bucket_that_its_table_dropped_is_not_counted_on_by_who_remembers_it() -> None:
    one = limit(algorithm=SlidingWindow(5, 60))
    here = LocalBuckets(MemoryStore(capacity=1), 1)
    first, second = (make_gate(here, [charge(one, cost)]) for cost in (1, 2))
    for of, who, left in [(first, "a", 4), (first, "a", 3), (first, "b", 4), (second, "a", 3), (first, "a", 2)]:
        [status] = (await outcome(of, who, NOW)).told
        assert status[1] == left


async def test_a_bucket_that_is_in_use_outlives_its_life() -> None:
    one = gate(LocalBuckets(MemoryStore(), 1), limit(algorithm=SlidingWindow(2, 10)))
    assert [bool((await outcome(one, "a", NOW + at)).retry_after) for at in (0, 9, 9.5, 19, 28, 28.5, 37)] == [
        False,
        False,
        True,
        False,
        False,
        False,
        False,
    ]
