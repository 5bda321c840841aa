"""Least request: the less busy of two, by weight."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.upstreams.balancers.least_request import LeastRequest


@dataclass
class Candidate:
    weight: int
    load: int = 0
    name: str = ""


def made(candidates: Sequence[Candidate]) -> LeastRequest:
    return LeastRequest(candidates, range(len(candidates)))


def test_a_busy_endpoint_gets_only_what_is_drawn_twice() -> None:
    pick = made([Candidate(1, load=100), Candidate(1)])
    assert 150 < sum(pick() == 0 for _ in range(800)) < 250  # both draws fall on it: a quarter


def test_weights_count() -> None:
    pick = made([Candidate(9), Candidate(1)])
    assert sum(pick() == 0 for _ in range(500)) > 400


def test_one_candidate() -> None:
    assert made([Candidate(1)])() == 0
