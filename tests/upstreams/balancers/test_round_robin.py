"""Round robin: fair over a cycle, spread out within it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from gateway.upstreams.balancers.round_robin import RoundRobin


@dataclass
class Candidate:
    weight: int
    load: int = 0
    name: str = ""


def made(candidates: Sequence[Candidate]) -> RoundRobin:
    return RoundRobin(candidates, range(len(candidates)))


def test_each_in_turn() -> None:
    pick = made([Candidate(1), Candidate(1), Candidate(1)])
    assert [pick() for _ in range(6)] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("weights", [(2, 1), (5, 1, 1), (10, 20, 30), (1,)])
def test_a_cycle_holds_each_as_often_as_its_weight(weights: tuple[int, ...]) -> None:
    pick = made([Candidate(weight) for weight in weights])
    turns = [pick() for _ in range(sum(weights))]
    assert [turns.count(index) for index in range(len(weights))] == list(weights)


def test_turns_of_a_heavy_one_are_spread_out() -> None:
    pick = made([Candidate(4), Candidate(2)])
    turns = [pick() for _ in range(6)]
    assert turns[:3].count(0) == turns[3:].count(0) == 2
