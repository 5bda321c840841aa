"""Consistent hash: sticky, by weight, and a change moves no more than it must."""

from collections import Counter
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstreams.balancers.consistent_hash import ConsistentHash
from tests.upstreams.balancers.candidates import Candidate, named

KEYS = [key * 0x9E3779B97F4A7C15 % 2**64 for key in range(4000)]


def owners(candidates: list[Candidate], usable: list[int] | None = None) -> list[int]:
    pick = ConsistentHash(candidates, range(len(candidates)) if usable is None else usable)
    return [pick(key) for key in KEYS]


def test_the_same_key_goes_to_the_same_endpoint_in_every_process() -> None:
    assert owners(named(5)) == owners(named(5))
    assert owners(named(3))[:12] == [0, 2, 1, 2, 2, 0, 2, 1, 1, 2, 2, 2]  # no seed of this process takes part


@given(st.integers(2, 12), st.data())
def test_one_that_is_left_out_moves_its_own_keys_and_no_others(count: int, data: st.DataObject) -> None:
    out = data.draw(st.sampled_from(range(count)))
    before = owners(named(count))
    after = owners(named(count), [index for index in range(count) if index != out])
    assert all(now == then for then, now in zip(before, after, strict=True) if then != out)
    assert out not in after


def test_an_endpoint_more_takes_only_its_share() -> None:
    before, after = owners(named(9)), owners(named(10))
    moved = [now for then, now in zip(before, after, strict=True) if now != then]
    assert set(moved) == {9}
    assert len(moved) < 2 * len(KEYS) / 10


def test_shares_are_the_weights() -> None:
    candidates = named(4)
    candidates[0].weight = 5
    shares = Counter(owners(candidates))
    assert 0.5 < shares[0] / len(KEYS) < 0.75  # 5 of 8
    assert all(0.05 < shares[index] / len(KEYS) < 0.2 for index in (1, 2, 3))


def test_without_a_key_any_endpoint_will_do() -> None:
    pick = ConsistentHash(named(3), range(3))
    assert {pick() for _ in range(200)} == {0, 1, 2}


@given(st.integers(0, 2**64 - 1))
def test_every_key_has_an_owner(key: int) -> None:
    assert ConsistentHash(named(3), [0, 2])(key) in (0, 2)


def test_the_work_of_a_ring_is_bounded_however_heavy_its_endpoints() -> None:
    began = process_time()
    ConsistentHash(named(100, weight=1000), range(99))
    assert process_time() - began < 1.0
