"""Random: by weight, only among the usable."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstreams.balancers.weighted_random import WeightedRandom
from tests.upstreams.balancers.candidates import Candidate


def test_chances_are_the_weights() -> None:
    pick = WeightedRandom([Candidate(9), Candidate(1), Candidate(10)], [0, 1, 2])
    drawn = Counter(pick() for _ in range(4000))
    assert 1600 < drawn[0] < 2000
    assert 120 < drawn[1] < 290
    assert 1800 < drawn[2] < 2200


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20), st.data())
def test_only_usable_ones_are_drawn(weights: list[int], data: st.DataObject) -> None:
    usable = data.draw(st.lists(st.sampled_from(range(len(weights))), min_size=1, unique=True))
    pick = WeightedRandom([Candidate(weight) for weight in weights], usable)
    assert {pick() for _ in range(50)} <= set(usable)
