"""Endpoints as balancers see them."""

from dataclasses import dataclass


@dataclass
class Candidate:
    weight: int = 1
    load: int = 0
    name: str = ""


def named(count: int, weight: int = 1) -> list[Candidate]:
    """Candidates with names of their own."""
    return [Candidate(weight, 0, f"https://10.0.0.{index}:8443") for index in range(count)]
