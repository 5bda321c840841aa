"""Least request: the less busy of two, by weight."""

from dataclasses import dataclass

from gateway.upstreams.balancers.least_request import LeastRequest


@dataclass
class Candidate:
    weight: int
    load: int = 0


def test_a_busy_endpoint_gets_only_what_is_drawn_twice() -> None:
    pick = LeastRequest([Candidate(1, load=100), Candidate(1)])
    assert 150 < sum(pick() == 0 for _ in range(800)) < 250  # both draws fall on it: a quarter


def test_weights_count() -> None:
    pick = LeastRequest([Candidate(9), Candidate(1)])
    assert sum(pick() == 0 for _ in range(500)) > 400


def test_one_candidate() -> None:
    assert LeastRequest([Candidate(1)])() == 0
