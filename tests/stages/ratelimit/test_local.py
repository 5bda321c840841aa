from gateway.kernel.store import MemoryStore
from gateway.stages.ratelimit import LocalBuckets
from tests.stages.ratelimit.gates import charge, limit
from tests.stages.ratelimit.requests import NOW

A, B = b"a" * 32, b"b" * 32


def test_R11_all_are_charged_or_none() -> None:
    check = LocalBuckets(MemoryStore(), lambda: 1).check([charge(limit("few", 1)), charge(limit("many", 3))])
    assert [room for room, *_ in check.judge((A, B), NOW)] == [1, 3]
    for _ in range(5):
        assert [room for room, *_ in check.judge((A, B), NOW)] == [0, 2]  # and never less


def test_what_is_only_looked_at_is_not_spent() -> None:
    check = LocalBuckets(MemoryStore(), lambda: 1).check([charge(limit("l", 1), 0)])
    for _ in range(3):
        assert check.judge((A,), NOW)[0][:2] == (1, 1)


def test_each_of_several_processes_admits_its_share_rounded_up() -> None:
    processes = 4
    check = LocalBuckets(MemoryStore(), lambda: processes).check([charge(limit("l", 10))])
    assert sum(check.judge((A,), NOW)[0][0] > 0 for _ in range(10)) == 3
    processes = 2
    assert sum(check.judge((A,), NOW)[0][0] > 0 for _ in range(10)) == 2  # of five, three are spent


def test_limits_of_one_identity_share_buckets_over_snapshots() -> None:
    buckets = LocalBuckets(MemoryStore(), lambda: 1)
    old = buckets.check([charge(limit("l", 3))])
    old.judge((A,), NOW)
    new = buckets.check([charge(limit("l", 5))])
    del old
    assert new.judge((A,), NOW)[0][0] == 4


async def test_asking_is_judging() -> None:
    check = LocalBuckets(MemoryStore(), lambda: 1).check([charge(limit("l", 2))])
    assert [(await check.ask((A,), NOW))[0][0] for _ in range(3)] == [2, 1, 0]
