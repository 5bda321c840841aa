import pytest

from gateway.kernel.store import MemoryStore
from gateway.stages.ratelimit import LocalBuckets
from tests.stages.ratelimit.gates import charge, limit
from tests.stages.ratelimit.requests import NOW

A, B = b"a" * 32, b"b" * 32


async def test_R11_all_are_charged_or_none() -> None:
    check = LocalBuckets(MemoryStore(), lambda: 1).check([charge(limit("few", 1)), charge(limit("many", 3))])
    assert [room for room, *_ in await check((A, B), NOW)] == [1, 3]
    for _ in range(5):
        assert [room for room, *_ in await check((A, B), NOW)] == [0, 2]  # and never less


async def test_what_is_only_looked_at_is_not_spent() -> None:
    check = LocalBuckets(MemoryStore(), lambda: 1).check([charge(limit("l", 1), 0)])
    for _ in range(3):
        assert (await check((A,), NOW))[0][:2] == (1, 1)


def test_each_of_several_processes_admits_its_share_rounded_up() -> None:
    processes = 4
    check = LocalBuckets(MemoryStore(), lambda: processes).check([charge(limit("l", 10))])
    assert sum(check.judge((A,), NOW)[0][0] > 0 for _ in range(10)) == 3
    processes = 2
    assert sum(check.judge((A,), NOW)[0][0] > 0 for _ in range(10)) == 2  # of five, three are spent


async def test_limits_of_one_identity_share_buckets_over_snapshots() -> None:
    buckets = LocalBuckets(MemoryStore(), lambda: 1)
    old = buckets.check([charge(limit("l", 3))])
    await old((A,), NOW)
    new = buckets.check([charge(limit("l", 5))])
    del old
    assert (await new((A,), NOW))[0][0] == 4


def test_a_check_in_this_process_never_suspends() -> None:
    check = LocalBuckets(MemoryStore(), lambda: 1).check([charge(limit())])
    with pytest.raises(StopIteration) as done:
        check((A,), NOW).send(None)
    assert done.value.value[0][0] == 3
